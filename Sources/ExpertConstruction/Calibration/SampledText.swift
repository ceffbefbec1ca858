import Models
import Numerics

/// Calibration text written by the dense model itself, for conversions without data.
public enum SampledText {
  /// Samples documents at temperature 1.
  ///
  /// Documents are written side by side, so that all but attention is shared work.
  ///
  /// - Parameters:
  ///   - prompts: First tokens, taken in turn; usually the token that begins every text.
  ///   - tokens: Tokens in all.
  ///   - documentLength: The longest document.
  ///   - width: Documents written side by side.
  ///   - stop: Tokens after which a document ends.
  public static func documents(
    from model: LanguageModel, prompts: [[Int32]], tokens: Int, documentLength: Int = 256,
    width: Int = 32, stop: Set<Int32>, seed: UInt64, in context: Context
  ) throws -> [[Int32]] {
    guard !prompts.isEmpty, prompts.allSatisfy({ !$0.isEmpty }) else {
      throw ConstructionError(
        .refused,
        "the tokenizer names no token that begins a text, so none can be sampled; give --data FILE")
    }
    var documents: [[Int32]] = []
    var written = 0
    while written < tokens {
      let missing = tokens - written
      let count = max(1, min(width, missing / 8))
      var batch = (documents.count..<documents.count + count).map { index in
        SampledDocument(
          prompt: prompts[index % prompts.count], seed: seed &+ UInt64(index), model, context)
      }
      let length = max(2, min(documentLength, (missing + count - 1) / count))
      write(&batch, length: length, stop: stop, model, context)
      documents += batch.map(\.tokens)
      written += batch.reduce(0) { $0 + $1.tokens.count }
    }
    return documents
  }

  /// Lets every document grow to `length` tokens or to its end.
  private static func write(
    _ batch: inout [SampledDocument], length: Int, stop: Set<Int32>, _ model: LanguageModel,
    _ context: Context
  ) {
    for position in 0..<length - 1 {
      let active = batch.indices.filter { !batch[$0].isFinished }
      guard !active.isEmpty else { return }
      let layout = SequenceLayout(count: 1, offset: position, in: context)
      let ids = active.map { batch[$0].tokens[position] }
      var x_BD = context.embedding(
        context.tensor(ids, [ids.count]), weight: model.embedding.tensor)
      for (layer, block) in model.blocks.enumerated() {
        let mixed_BD = context.empty(x_BD.shape, x_BD.dtype)
        for (row, index) in active.enumerated() {
          let mixed = block.mix(
            x_BD.slice(row..<row + 1), layout: layout, state: batch[index].states[layer],
            in: context)
          context.copy(mixed, into: mixed_BD.slice(row..<row + 1))
        }
        let update = block.mlp(block.mlpInput(mixed_BD, in: context), in: context).output
        x_BD = context.add(mixed_BD, update)
      }
      let hidden_BD = context.rmsNorm(
        x_BD, weight: model.finalNorm.tensor, epsilon: model.configuration.normEpsilon)
      let scores = context.read(context.linear(hidden_BD, weight: model.head.tensor))
      let vocabulary = scores.count / active.count
      for (row, index) in active.enumerated() {
        batch[index].extend(
          past: position, scores: scores[row * vocabulary..<(row + 1) * vocabulary], stop: stop)
      }
    }
  }
}

/// One text being sampled.
private struct SampledDocument {
  var tokens: [Int32]
  var isFinished = false
  let states: [any MixerState]
  private var sampler: Sampler

  init(prompt: [Int32], seed: UInt64, _ model: LanguageModel, _ context: Context) {
    tokens = prompt
    sampler = Sampler(temperature: 1, seed: seed)
    states = model.blocks.map { $0.mixer.makeState(capacity: 64, in: context) }
  }

  /// Adds the token after `position`, unless the prompt has one there.
  mutating func extend(past position: Int, scores: ArraySlice<Float>, stop: Set<Int32>) {
    guard tokens.count == position + 1 else { return }
    let next = sampler.next(Array(scores))
    tokens.append(next)
    isFinished = stop.contains(next)
  }
}
