import Formats

/// The result of restoring a dense checkpoint from a mixture and comparing it with the ledger.
public struct LedgerVerification: Equatable, Sendable {
  /// Source tensors restored to the very bytes.
  public private(set) var restored = 0
  /// Elements of those tensors.
  public private(set) var elements = 0
  /// Source tensors whose stored values were rounded by a scale and cannot be restored exactly.
  public private(set) var rounded: [String] = []
  /// Source tensors that came back different; empty when all is well.
  public private(set) var different: [String] = []

  /// Whether nothing differs.
  public var isExact: Bool { different.isEmpty }

  /// Restores every source tensor of `ledger` from `mixture` and compares digests.
  ///
  /// - Parameters:
  ///   - mixture: The converted checkpoint.
  ///   - ledger: What its conversion wrote down.
  ///   - dense: The dense checkpoint, to be compared as well if at hand.
  public init(_ mixture: Checkpoint, _ ledger: ByteLedger, against dense: Checkpoint? = nil) throws
  {
    let format = ledger.format.make()
    for entry in ledger.source {
      let bytes = entry.shape.reduce(1, *) * entry.elementType.bitWidth / 8
      let digest: String?
      if let (layer, projection) = DenseSource.place(of: entry.name),
        let shape = try ledger.shape(ofLayer: layer)
      {
        guard layer < ledger.splits.count else {
          throw ConstructionError(
            .damagedSource, "the ledger has no neurons for layer \(layer) of \(entry.name)")
        }
        let layout = format.layer(layer, of: shape)
        digest = try Self.restoredDigest(
          projection, ledger.splits[layer], shape, layout, mixture, byteCount: bytes)
      } else {
        digest = try Self.digest(of: entry.name, in: mixture, byteCount: bytes)
      }
      guard let digest else {
        rounded.append(entry.name)
        continue
      }
      let denseDigest = try dense.map { try Self.digest(of: entry.name, in: $0, byteCount: bytes) }
      if digest == entry.sha256, denseDigest ?? digest == digest {
        restored += 1
        elements += entry.shape.reduce(1, *)
      } else {
        different.append(entry.name)
      }
    }
  }

  private static let chunk = 4 << 20

  private static func digest(of name: String, in checkpoint: Checkpoint, byteCount: Int) throws
    -> String
  {
    let tensor = try checkpoint.tensor(name)
    guard tensor.byteCount == byteCount else { return "of another size" }
    let buffer = ByteBuffer(min(chunk, byteCount))
    var hasher = TensorHasher()
    for start in stride(from: 0, to: byteCount, by: chunk) {
      let range = start..<min(byteCount, start + chunk)
      let bytes = buffer.slice(0..<range.count)
      try checkpoint.read(name, bytes: range, into: bytes)
      hasher.update(UnsafeRawBufferPointer(bytes))
    }
    return hasher.hexadecimal()
  }

  /// The digest of a dense matrix put together from its experts; `nil` when a scale rounded it.
  private static func restoredDigest(
    _ projection: Projection, _ split: NeuronSplit, _ shape: MixtureShape, _ layout: LayerLayout,
    _ mixture: Checkpoint, byteCount: Int
  ) throws -> String? {
    let (hidden, width) = (shape.hidden, shape.block.geometry.width)
    let elementSize = shape.elementType.bitWidth / 8
    guard byteCount == hidden * width * elementSize else { return "of another size" }
    let dense = ByteBuffer(byteCount)
    var parts = split.experts.enumerated().map { (MixtureTensor.expert($0, projection), $1) }
    if !split.shared.isEmpty { parts.append((.shared(projection), split.shared)) }
    for (tensor, neurons) in parts {
      guard let place = layout.places[tensor] else { return "without a place" }
      guard StoredElements.rounding(of: shape.elementType, by: place.scale) == 0 else { return nil }
      let expert = ByteBuffer(neurons.count * hidden * elementSize)
      let bytes = expert.slice(0..<neurons.count * hidden * elementSize)
      try mixture.read(
        place.name, bytes: place.byteOffset..<place.byteOffset + bytes.count, into: bytes)
      if place.scale != 1 {
        _ = StoredElements.multiply(bytes, shape.elementType, by: Float(1 / place.scale))
      }
      if projection == .down {
        NeuronGather.scatterColumns(
          neurons, width: width, elementSize: elementSize, from: UnsafeRawBufferPointer(bytes),
          into: dense.slice(0..<byteCount))
      } else {
        NeuronGather.scatterRows(
          neurons, rowBytes: hidden * elementSize, from: UnsafeRawBufferPointer(bytes),
          into: dense.slice(0..<byteCount))
      }
    }
    var hasher = TensorHasher()
    hasher.update(UnsafeRawBufferPointer(dense.slice(0..<byteCount)))
    return hasher.hexadecimal()
  }
}
