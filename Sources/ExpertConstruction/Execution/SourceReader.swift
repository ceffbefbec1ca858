import Formats
import Synchronization

/// Reads source tensors in chunks, keeping their digests and refusing values that are not finite.
final class SourceReader: Sendable {
  private let checkpoint: Checkpoint
  private let digests = Mutex<[String: String]>([:])

  private static let chunk = 4 << 20

  init(_ checkpoint: Checkpoint) { self.checkpoint = checkpoint }

  /// Reads a whole tensor into `buffer`.
  func read(_ name: String, into buffer: UnsafeMutableRawBufferPointer) throws {
    try stream(name) {
      UnsafeMutableRawBufferPointer(rebasing: buffer[$0])
    } use: { _, _ in
    }
  }

  /// Copies a tensor to `writer` under its own name.
  func copy(_ name: String, to writer: CheckpointWriter) throws {
    let buffer = ByteBuffer(Self.chunk)
    try stream(name) { range in
      buffer.slice(0..<range.count)
    } use: { range, bytes in
      try writer.write(name, at: range.lowerBound, bytes)
    }
  }

  /// The ledger's entries for `tensors`, all of which have been read.
  /// - Parameter kept: Digests of tensors with the neurons left out as zeros, by name.
  /// - Throws: ``ConstructionError`` naming a tensor that was not.
  func entries(
    _ tensors: [TensorDescription], kept: [String: String] = [:]
  ) throws -> [ByteLedger.Entry] {
    let digests = digests.withLock { $0 }
    return try tensors.map { tensor in
      guard let digest = digests[tensor.name] else {
        throw ConstructionError(.proofFailed, "\(tensor.name) was left out of the conversion")
      }
      return ByteLedger.Entry(
        name: tensor.name, elementType: tensor.elementType, shape: tensor.shape, sha256: digest,
        keptSHA256: kept[tensor.name])
    }
  }

  private func stream(
    _ name: String, into target: (Range<Int>) -> UnsafeMutableRawBufferPointer,
    use: (Range<Int>, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let tensor = try checkpoint.tensor(name)
    var hasher = TensorHasher()
    for start in stride(from: 0, to: tensor.byteCount, by: Self.chunk) {
      let range = start..<min(tensor.byteCount, start + Self.chunk)
      let buffer = target(range)
      try checkpoint.read(name, bytes: range, into: buffer)
      let bytes = UnsafeRawBufferPointer(buffer)
      hasher.update(bytes)
      guard StoredElements.areFinite(bytes, tensor.elementType) else {
        throw ConstructionError(
          .damagedSource,
          "\(checkpoint.folder): tensor \(name) holds NaN or infinity; the checkpoint is damaged")
      }
      try use(range, bytes)
    }
    let digest = hasher.hexadecimal()
    let repeated = digests.withLock { $0.updateValue(digest, forKey: name) != nil }
    if repeated {
      throw ConstructionError(.proofFailed, "\(name) was used twice by the conversion")
    }
  }
}
