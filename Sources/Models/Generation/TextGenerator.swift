import Numerics

/// Continues one text token by token.
///
/// Each block's mixer keeps its own state; the generator never sees what is in it.
public final class TextGenerator {
  private let model: LanguageModel
  private let context: Context
  private var states: [any MixerState]
  /// Tokens read so far.
  public private(set) var position = 0

  /// An empty text.
  /// - Parameter capacity: Tokens to make room for at first; states grow as needed.
  public init(_ model: LanguageModel, capacity: Int = 256, in context: Context) {
    self.model = model
    self.context = context
    states = model.blocks.map { $0.mixer.makeState(capacity: capacity, in: context) }
  }

  private init(copying other: TextGenerator) {
    model = other.model
    context = other.context
    position = other.position
    states = other.states.map { $0.fork(in: other.context) }
  }

  /// An independent generator with the same text behind it.
  public func fork() -> TextGenerator { TextGenerator(copying: self) }

  /// Reads more tokens and returns the scores of the next one, `[V]`.
  public func read(_ tokens: [Int32]) -> Tensor {
    precondition(!tokens.isEmpty)
    let layout = SequenceLayout(count: tokens.count, offset: position, in: context)
    var x_TD = context.embedding(
      context.tensor(tokens, [tokens.count]), weight: model.embedding.tensor)
    for (block, state) in zip(model.blocks, states) {
      x_TD = block(x_TD, layout: layout, state: state, in: context).output
    }
    position += tokens.count
    let last = x_TD.slice(tokens.count - 1..<tokens.count)
    let hidden = context.rmsNorm(
      last, weight: model.finalNorm.tensor, epsilon: model.configuration.normEpsilon)
    return context.linear(hidden, weight: model.head.tensor)
  }
}
