import Formats

/// The result of restoring a dense checkpoint from a mixture and comparing it with the ledger.
public struct LedgerVerification: Equatable, Sendable {
  /// Source tensors restored to the very bytes.
  public private(set) var restored = 0
  /// Those of them that came back but for the neurons that were left out.
  public private(set) var partial: [String] = []
  /// Elements of the restored tensors, those left out not counted.
  public private(set) var elements = 0
  /// Source tensors whose stored values were rounded by a scale and cannot be restored exactly.
  public private(set) var rounded: [String] = []
  /// Source tensors that recovery rewrote, in whose place the very bytes it made were found.
  public private(set) var rewritten: [String] = []
  /// Source tensors that came back different; empty when all is well.
  public private(set) var different: [String] = []

  /// New tensors that are what the ledger's seed gives.
  public private(set) var created = 0

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
      var elements = entry.shape.reduce(1, *)
      if let (layer, projection) = DenseSource.place(of: entry.name),
        let shape = try ledger.shape(ofLayer: layer),
        layer >= ledger.splits.count || ledger.splits[layer] != nil
      {
        guard layer < ledger.splits.count, let split = ledger.splits[layer] else {
          throw ConstructionError(
            .damagedSource, "the ledger has no neurons for layer \(layer) of \(entry.name)")
        }
        digest = try Self.restoredDigest(
          projection, split, shape, format.places(layer, of: shape), mixture, byteCount: bytes,
          redraw: ledger.redrawnLayer(layer, of: entry.name, in: dense))
        if entry.keptSHA256 != nil {
          let width = shape.block.geometry.width
          let used = split.uses(width: width).count { $0 > 0 }
          elements = elements / width * used
        }
      } else if let heads = entry.copies {
        digest = try Self.digest(of: entry, copied: heads, in: mixture)
      } else {
        digest = try Self.digest(of: entry.name, in: mixture, byteCount: bytes)
      }
      guard let digest else {
        rounded.append(entry.name)
        continue
      }
      let denseDigest = try dense.map { try Self.digest(of: entry.name, in: $0, byteCount: bytes) }
      let isSource = denseDigest ?? entry.sha256 == entry.sha256
      if let made = entry.rewrittenSHA256, made == digest, isSource {
        rewritten.append(entry.name)
      } else if digest == entry.keptSHA256 ?? entry.sha256, entry.rewrittenSHA256 == nil, isSource {
        restored += 1
        self.elements += elements
        if entry.keptSHA256 != nil { partial.append(entry.name) }
      } else {
        different.append(entry.name)
      }
    }
    if let creation = ledger.creation {
      let changed = try Self.differing(creation, in: mixture)
      different += changed
      created = creation.tensors.count - changed.count
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

  /// The digest of a dense matrix put together from its experts, with zeros for neurons that are in
  /// none; `nil` when a scale rounded it.
  private static func restoredDigest(
    _ projection: Projection, _ split: NeuronSplit, _ shape: MixtureShape, _ layout: LayerLayout,
    _ mixture: Checkpoint, byteCount: Int, redraw: RedrawnLayer?
  ) throws -> String? {
    guard byteCount == shape.hidden * shape.block.geometry.width * shape.elementType.bitWidth / 8
    else { return "of another size" }
    let dense = ByteBuffer(byteCount)
    let (isRounded, problem) =
      shape.block.geometry.form == .copied
      ? try restoreCopies(
        projection, split, shape, layout, mixture, into: dense.slice(0..<byteCount), redraw)
      : try restore(projection, split, shape, layout, mixture, into: dense, byteCount: byteCount)
    if let problem { return problem }
    return isRounded ? nil : digest(UnsafeRawBufferPointer(dense.slice(0..<byteCount)))
  }

  /// The matrices that recovery put in the place of dense ones, put together from their experts, by
  /// the names of the source tensors.
  /// - Throws: ``ConstructionError`` when the ledger does not fit `mixture`.
  public static func rewrittenMatrices(
    of ledger: ByteLedger, in mixture: Checkpoint,
    _ body: (_ name: String, _ bytes: UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let format = ledger.format.make()
    for entry in ledger.source where entry.rewrittenSHA256 != nil {
      guard let (layer, projection) = DenseSource.place(of: entry.name),
        layer < ledger.splits.count, let split = ledger.splits[layer],
        let shape = try ledger.shape(ofLayer: layer)
      else {
        throw ConstructionError(
          .damagedSource, "the ledger cannot have rewritten \(entry.name)")
      }
      let count = shape.hidden * shape.block.geometry.width * shape.elementType.bitWidth / 8
      let dense = ByteBuffer(count)
      let (_, problem) = try restore(
        projection, split, shape, format.places(layer, of: shape), mixture, into: dense,
        byteCount: count)
      if let problem {
        throw ConstructionError(
          .damagedSource, "\(mixture.folder): \(entry.name) does not come back: it is \(problem)")
      }
      try body(entry.name, UnsafeRawBufferPointer(dense.slice(0..<count)))
    }
  }

  /// Puts a dense matrix together from its experts, with zeros for neurons that are in none and
  /// scales undone.
  /// - Returns: Whether a scale rounded it, and what is wrong with it.
  private static func restore(
    _ projection: Projection, _ split: NeuronSplit, _ shape: MixtureShape, _ layout: LayerLayout,
    _ mixture: Checkpoint, into dense: ByteBuffer, byteCount: Int
  ) throws -> (isRounded: Bool, problem: String?) {
    let (hidden, width) = (shape.hidden, shape.block.geometry.width)
    let elementSize = shape.elementType.bitWidth / 8
    var isRounded = false
    dense.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    var parts = split.experts.enumerated().map { (MixtureTensor.expert($0, projection), $1) }
    if !split.shared.isEmpty {
      let isPruned = shape.block.geometry.form == .pruned
      parts.append((isPruned ? .dense(projection) : .shared(projection), split.shared))
    }
    let overlaps = shape.block.geometry.form == .overlapping
    var copies: [(neurons: [Int32], digest: String)] = []
    for (tensor, neurons) in parts {
      guard let place = layout.places[tensor] else { return (isRounded, "without a place") }
      if StoredElements.rounding(of: shape.elementType, by: place.scale) > 0 { isRounded = true }
      let expert = ByteBuffer(neurons.count * hidden * elementSize)
      let bytes = expert.slice(0..<neurons.count * hidden * elementSize)
      try mixture.read(
        place.name, bytes: place.byteOffset..<place.byteOffset + bytes.count, into: bytes)
      if place.scale != 1 {
        _ = StoredElements.multiply(bytes, shape.elementType, by: Float(1 / place.scale))
      }
      if overlaps { copies.append((neurons, Self.digest(UnsafeRawBufferPointer(bytes)))) }
      NeuronGather.scatter(
        neurons, of: projection, width: width, hidden: hidden, elementSize: elementSize,
        from: UnsafeRawBufferPointer(bytes), into: dense.slice(0..<byteCount))
    }
    // Of a neuron that several experts hold the last copy was kept; the others must equal it.
    for copy in copies {
      let expert = ByteBuffer(copy.neurons.count * hidden * elementSize)
      let bytes = expert.slice(0..<copy.neurons.count * hidden * elementSize)
      NeuronGather.gather(
        copy.neurons, of: projection, width: width, hidden: hidden, elementSize: elementSize,
        from: UnsafeRawBufferPointer(dense.slice(0..<byteCount)), into: bytes)
      guard digest(UnsafeRawBufferPointer(bytes)) == copy.digest else {
        return (isRounded, isRounded ? nil : "of copies that differ")
      }
    }
    return (isRounded, nil)
  }

  private static func digest(_ bytes: UnsafeRawBufferPointer) -> String {
    var hasher = TensorHasher()
    hasher.update(bytes)
    return hasher.hexadecimal()
  }
}
