import Formats
import Models
import Numerics

/// What one token costs a checkpoint's model: weights by its sizes, time by the clock.
struct ModelMeasurement {
  /// The checkpoint folder.
  let folder: String
  /// The dense checkpoint it came from.
  let dense: String
  /// Tokens whose generation is timed.
  let decodeTokens: Int

  /// Loads the model in its stored types and measures.
  func json(in context: Context) throws -> JSON {
    let folder = try ModelFolder(folder)
    let configuration = folder.configuration
    let model = try folder.loader.model(dtype: nil, in: context)
    let speed = tokensPerSecond(model, in: context)
    let counts = configuration.parameterCounts
    let bytes = model.parameters.reduce(0) { $0 + $1.value.byteCount }
    return [
      "decode_tokens_per_second": speed.map { JSON($0) } ?? .null,
      "decode_tokens": JSON(decodeTokens),
      "bytes_per_token": JSON(Self.bytesPerToken(model)), "bytes": JSON(bytes),
      "parameters": JSON(counts.total), "active_parameters": JSON(counts.active),
      "active_share": JSON(
        try Self.activeShare(configuration, of: ModelFolder(dense).configuration)),
      "active_attention_share": JSON(Self.activeAttention(configuration)),
    ]
  }

  /// Tokens generated in a second, one at a time, greedily, after a prompt of 16 tokens; the fastest
  /// of three rounds. `nil` for a model whose scores are not finite, or too few positions.
  private func tokensPerSecond(_ model: LanguageModel, in context: Context) -> Double? {
    let (prompt, warmUp) = (16, 4)
    let room = model.configuration.maximumPositions - prompt - warmUp
    guard room > 0 else { return nil }
    let count = min(decodeTokens, room)
    let vocabulary = Int32(clamping: model.configuration.vocabularySize)
    let start = TextGenerator(model, capacity: prompt + warmUp + count, in: context)
    var sampler = Sampler()
    guard var token = start.next(after: (0..<Int32(prompt)).map { $0 % vocabulary }, &sampler)
    else { return nil }
    for _ in 0..<warmUp - 1 {
      guard let next = start.next(after: [token], &sampler) else { return nil }
      token = next
    }
    var best = 0.0
    for _ in 0..<3 {
      let generator = start.fork()
      var last = token
      let begin = ContinuousClock.now
      for _ in 0..<count {
        guard let next = generator.next(after: [last], &sampler) else { return nil }
        last = next
      }
      best = max(best, Double(count) / max((ContinuousClock.now - begin).inSeconds, 1e-9))
    }
    return best
  }

  /// Bytes of the weights that one token uses: all but experts that it does not choose, and of the
  /// embedding table one row besides what the output head reads.
  static func bytesPerToken(_ model: LanguageModel) -> Int {
    let counts = model.configuration.parameterCounts
    let all = model.parameters.reduce(0) { $0 + $1.value.byteCount }
    // Experts are matrices, of the type of the other matrices.
    let elementBytes = model.head.value.dtype.byteCount
    let table = model.embedding.value
    let unread =
      model.configuration.tiedEmbeddings ? 0 : (table.shape[0] - 1) * table.shape[1] * elementBytes
    return all - (counts.total - counts.active) * elementBytes - unread
  }

  /// Neurons of the MLPs that a token uses over those of the dense model.
  static func activeShare(
    _ configuration: ModelConfiguration, of dense: ModelConfiguration
  ) -> Double {
    let used = configuration.blocks.reduce(0.0) { sum, block in
      switch block.mlp {
      case .dense(let mlp): sum + Double(mlp.width)
      case .mixture(let mixture):
        sum + Double(mixture.topK * mixture.expertWidth + mixture.sharedWidth)
      }
    }
    let all = dense.blocks.reduce(0.0) { sum, block in
      switch block.mlp {
      case .dense(let mlp): sum + Double(mlp.width)
      case .mixture(let mixture):
        sum + Double(mixture.experts * mixture.expertWidth + mixture.sharedWidth)
      }
    }
    return used / max(1, all)
  }

  /// Query heads that a token uses over all query heads.
  static func activeAttention(_ configuration: ModelConfiguration) -> Double {
    let shares = configuration.blocks.map { block -> Double in
      guard case .attention(let attention) = block.mixer, let mixture = attention.mixture else {
        return 1
      }
      return mixture.activeShare(of: attention.heads)
    }
    return shares.reduce(0, +) / Double(max(1, shares.count))
  }
}
