import Data
import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import Evaluation

/// Parity with `LlamaForCausalLM` in float32 and the loss anchors, on the real checkpoint.
@Suite(.enabled(if: RealInput.isPresent, "needs the real input (HERD_REAL_DIR)"))
struct RealCheckpointTests {
  private let context: Context
  private let model: LanguageModel
  private let folder = "\(RealInput.folder)/dense-32m"

  init() throws {
    context = try Context()
    let config = try ConfigurationFile(contentsOf: "\(folder)/config.json")
    model = try ModelLoader(
      layout: CheckpointLayouts.layout(for: config), checkpoint: Checkpoint(folder: folder)
    ).model(in: context)
  }

  @Test func logitsAndHiddenStatesMatchTransformers() throws {
    let golden = try Golden()
    for prompt in 0..<3 {
      let ids = try golden.integers("prompt\(prompt).input_ids")
      let output = model(
        context.tensor(ids, [ids.count]), layout: SequenceLayout(count: ids.count, in: context),
        keepBoundaries: true, in: context)
      let hidden = context.read(output.boundaries[0])
      let logits = context.read(context.linear(output.hidden_TD, weight: model.head.tensor))
      let hiddenError = difference(hidden, try golden.floats("prompt\(prompt).hidden_layer1"))
      let logitError = difference(logits, try golden.floats("prompt\(prompt).logits"))
      #expect(hiddenError <= 2e-4)
      #expect(logitError <= 2e-4)
    }
  }

  @Test func greedyContinuationsAreTheSame() throws {
    let golden = try Golden()
    let stop = try #require(Tokenizer(folder: folder).id(of: "<|eot_id|>"))
    for prompt in 0..<3 {
      let ids = try golden.integers("prompt\(prompt).input_ids")
      var expected = try golden.integers("prompt\(prompt).greedy32")
      if expected.starts(with: ids) { expected.removeFirst(ids.count) }
      if let end = expected.firstIndex(of: stop) { expected.removeSubrange(end...) }
      var sampler = Sampler()
      let reply = TextGenerator(model, in: context).reply(
        to: ids, sampler: &sampler, stops: [stop], limit: 32
      ) { _ in }
      #expect(reply.tokens == expected)
    }
  }

  @Test func firstWindowsHaveALossNearTheAnchor() throws {
    let tokenizer = try Tokenizer(folder: folder)
    let stream = try TokenStreamBuilder(tokenizer: tokenizer, format: .llama3).stream(
      files: ["\(RealInput.folder)/data/math.val.jsonl.zst"], tokenLimit: 4097)
    let score = try Evaluator(
      model, against: model, settings: .init(window: 1024, windows: 4), in: context
    ).evaluate(stream)
    #expect(score.windows == 4)
    // All 48 windows give 1.3091; four are noisier.
    #expect(abs(score.loss - 1.3091) < 0.15)
    #expect(score.agreement == 1)
  }

  private func difference(_ left: [Float], _ right: [Float]) -> Float {
    guard left.count == right.count else { return .infinity }
    return zip(left, right).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }
}

/// The recorded outputs of `transformers`.
private struct Golden {
  private let file: SafetensorsFile

  init() throws {
    file = try SafetensorsFile(path: "\(RealInput.folder)/golden/dense-32m.safetensors")
  }

  func floats(_ name: String) throws -> [Float] {
    try file.withBytes(of: name) { bytes in
      stride(from: 0, to: bytes.count, by: 4).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Float.self)
      }
    }
  }

  func integers(_ name: String) throws -> [Int32] {
    let isWide = try file.tensor(name).elementType == .i64
    return try file.withBytes(of: name) { bytes in
      stride(from: 0, to: bytes.count, by: isWide ? 8 : 4).map { offset in
        isWide
          ? Int32(truncatingIfNeeded: bytes.loadUnaligned(fromByteOffset: offset, as: Int64.self))
          : bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
      }
    }
  }
}
