import Numerics

/// Continues one text token by token.
///
/// Each block's mixer keeps its own state; the generator never sees what is in it.
public final class TextGenerator {
  private let model: LanguageModel
  private let context: Context
  private var states: [any MixerState]
  private var embeddingState: (any MixerState)?
  /// The next positions and as many zeros, to be sliced: nothing is sent to the device per token.
  private var places: (start: Int, positions: Tensor, zeros: Tensor)
  /// The token chosen last, which is on the device already.
  private var chosen: (id: Int32, ids_T: Tensor)?
  /// Tokens read so far.
  public private(set) var position = 0

  /// An empty text.
  /// - Parameter capacity: Tokens to make room for at first; states grow as needed.
  public init(_ model: LanguageModel, capacity: Int = 256, in context: Context) {
    self.model = model
    self.context = context
    places = Self.places(from: 0, max(1, capacity), in: context)
    states = model.blocks.map { $0.mixer.makeState(capacity: capacity, in: context) }
    embeddingState = model.makeEmbeddingState(in: context)
  }

  private init(copying other: TextGenerator) {
    model = other.model
    context = other.context
    position = other.position
    places = other.places
    chosen = other.chosen
    states = other.states.map { $0.fork(in: other.context) }
    embeddingState = other.embeddingState?.fork(in: other.context)
  }

  /// Bytes of what it remembers of the text: where every block's attention is linear the same
  /// after any number of tokens, but for what windows hold.
  public var memory: Int { memories.reduce(0) { $0 + $1.tensor.byteCount } }

  /// What it remembers of the text, such as `layers.3.key`.
  public var memories: [(name: String, tensor: Tensor)] {
    namedStates.flatMap { prefix, state in
      state.tensors(in: context).map { ("\(prefix).\($0.name)", $0.tensor) }
    }
  }

  /// Goes on behind the text whose ``memories`` another generator of the same model gave.
  ///
  /// - Parameters:
  ///   - memories: All of them, by name.
  ///   - position: Tokens of that text.
  /// - Throws: ``ModelError`` where they are not those of this model and device.
  public func restore(_ memories: [String: Tensor], position: Int) throws(ModelError) {
    var restored: [[(name: String, tensor: Tensor)]] = []
    for (prefix, state) in namedStates {
      var own: [(name: String, tensor: Tensor)] = []
      for (name, expected) in state.tensors(in: context) {
        let name = "\(prefix).\(name)"
        guard let tensor = memories[name] else {
          throw ModelError("\(name) is missing; use the model that wrote it")
        }
        // Rows of caches are as many as there are tokens; what an empty text has already is fixed.
        let isFixed = expected.shape.first != 0
        guard tensor.dtype == expected.dtype, tensor.shape.count == expected.shape.count,
          tensor.shape.dropFirst() == expected.shape.dropFirst(),
          !isFixed || tensor.shape == expected.shape
        else {
          throw ModelError(
            "\(name) is \(tensor.dtype.rawValue) \(tensor.shape), the model here wants "
              + "\(expected.dtype.rawValue) \(expected.shape); use the model, device and precision "
              + "that wrote it")
        }
        own.append((name, tensor))
      }
      restored.append(own)
    }
    guard restored.joined().count == memories.count else {
      throw ModelError(
        "\(memories.count) memories, the model here has fewer; use the one that wrote it")
    }
    for (own, named) in zip(restored, namedStates) { named.state.restore(own, in: context) }
    self.position = position
    chosen = nil
    places = Self.places(from: position, places.positions.count, in: context)
  }

  private var namedStates: [(prefix: String, state: any MixerState)] {
    states.enumerated().map { ("layers.\($0)", $1) }
      + (embeddingState.map { [("embeddings", $0)] } ?? [])
  }

  /// An independent generator with the same text behind it.
  public func fork() -> TextGenerator { TextGenerator(copying: self) }

  /// Reads more tokens and returns the scores of the next one, `[V]`.
  public func read(_ tokens: [Int32]) -> Tensor {
    precondition(!tokens.isEmpty)
    let known = chosen.flatMap { tokens == [$0.id] ? $0.ids_T : nil }
    return read(known ?? context.tensor(tokens, [tokens.count]), layout(tokens.count))
  }

  /// Reads more tokens and returns the next one; `nil` when the scores are not finite.
  ///
  /// The best token is found where the scores are; for sampling they are read back.
  public func next(after tokens: [Int32], _ sampler: inout Sampler) -> Int32? {
    let scores = read(tokens)
    guard sampler.temperature > 0 else {
      let best_T = context.largest(scores)
      let id = context.readIntegers(best_T)[0]
      guard id >= 0 else { return nil }
      chosen = (id, best_T)
      return id
    }
    let values = context.read(scores)
    let token = sampler.next(values)
    return values[Int(token)].isFinite ? token : nil
  }

  private func read(_ ids_T: Tensor, _ layout: SequenceLayout) -> Tensor {
    var x_TD = model.embedded(ids_T, layout: layout, state: embeddingState, in: context)
    for (block, state) in zip(model.blocks, states) {
      x_TD = block(x_TD, layout: layout, state: state, in: context).output
    }
    position += ids_T.count
    return context.linear(
      x_TD.slice(ids_T.count - 1..<ids_T.count), norm: model.outputNorm,
      LinearMap(weight_OI: model.head.tensor), as: x_TD.dtype.statistic)
  }

  /// The layout of the next `count` tokens.
  private func layout(_ count: Int) -> SequenceLayout {
    if position + count > places.start + places.positions.count {
      places = Self.places(from: position, max(count, 256), in: context)
    }
    let rows = position - places.start..<position - places.start + count
    return SequenceLayout(
      positions_T: places.positions.slice(rows), documentStarts_T: places.zeros.slice(rows))
  }

  private static func places(from start: Int, _ count: Int, in context: Context) -> (
    start: Int, positions: Tensor, zeros: Tensor
  ) {
    let layout = SequenceLayout(count: count, offset: start, in: context)
    return (start, layout.positions_T, layout.documentStarts_T)
  }
}
