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
    let documentLength = min(documentLength, model.configuration.maximumPositions)
    var finished: [SampledDocument] = []
    var active: [SampledDocument] = []
    var started = 0
    var written = 0
    while written < tokens {
      while active.count < width {
        let prompt = prompts[started % prompts.count]
        active.append(
          SampledDocument(started, prompt: prompt, seed: seed, model, in: context))
        written += prompt.count
        started += 1
      }
      let scores_BV = step(active, model, in: context)
      let vocabulary = scores_BV.count / active.count
      for index in active.indices {
        let scores = scores_BV[index * vocabulary..<(index + 1) * vocabulary]
        if active[index].read(scores, stop: stop, limit: documentLength) { written += 1 }
      }
      finished += active.filter(\.isFinished)
      active.removeAll(where: \.isFinished)
    }
    return (finished + active).sorted { $0.number < $1.number }.map(\.tokens)
  }

  /// Runs the next token of each document through the model; the scores of what follows, `[B, V]`.
  private static func step(
    _ documents: [SampledDocument], _ model: LanguageModel, in context: Context
  ) -> [Float] {
    let layouts = documents.map {
      SequenceLayout(count: 1, offset: $0.position, in: context)
    }
    let ids_B = context.tensor(
      documents.map { $0.tokens[$0.position] }, [documents.count])
    let embedded = documents.enumerated().map { row, document in
      model.embedded(
        ids_B.slice(row..<row + 1), layout: layouts[row], state: document.embeddingState,
        in: context)
    }
    var x_BD = context.empty(
      [documents.count, model.configuration.hiddenSize], embedded[0].dtype)
    for (row, x_1D) in embedded.enumerated() { context.copy(x_1D, into: x_BD.slice(row..<row + 1)) }
    for (layer, block) in model.blocks.enumerated() {
      let mixed_BD = context.empty(x_BD.shape, x_BD.dtype)
      for (row, document) in documents.enumerated() {
        let mixed = block.mix(
          x_BD.slice(row..<row + 1), layout: layouts[row], state: document.states[layer],
          in: context
        ).output
        context.copy(mixed, into: mixed_BD.slice(row..<row + 1))
      }
      x_BD = block.feedForward(mixed_BD, in: context).output
    }
    return context.read(
      context.linear(
        x_BD, norm: model.outputNorm, LinearMap(weight_OI: model.head.tensor),
        as: x_BD.dtype.statistic))
  }
}

/// One text being sampled.
private struct SampledDocument {
  /// Which document this is; its random numbers depend on nothing else.
  let number: Int
  private(set) var tokens: [Int32]
  /// The token the model reads next.
  private(set) var position = 0
  private(set) var isFinished = false
  let states: [any MixerState]
  let embeddingState: (any MixerState)?
  private var sampler: Sampler

  init(
    _ number: Int, prompt: [Int32], seed: UInt64, _ model: LanguageModel, in context: Context
  ) {
    self.number = number
    tokens = prompt
    sampler = Sampler(temperature: 1, seed: seed &+ UInt64(number))
    states = model.blocks.map { $0.mixer.makeState(capacity: 64, in: context) }
    embeddingState = model.makeEmbeddingState(in: context)
  }

  /// Moves on, adding a token unless the prompt has one there. Returns whether it did.
  mutating func read(_ scores: ArraySlice<Float>, stop: Set<Int32>, limit: Int) -> Bool {
    position += 1
    guard position == tokens.count else { return false }
    let next = sampler.next(Array(scores))
    tokens.append(next)
    isFinished = stop.contains(next) || tokens.count >= limit
    return true
  }
}
