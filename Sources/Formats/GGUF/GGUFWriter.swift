import Synchronization

/// Writes a GGUF file, version 3, little-endian, piece by piece in any order.
///
/// Metadata and tensors are declared first, so that every byte has its place from the start and no
/// tensor is held in memory. The file appears under its name on ``finish()``; when the last
/// reference goes without it, nothing is left.
public final class GGUFWriter: Sendable {
  /// Tensors begin at multiples of this many bytes, which readers assume unless told otherwise.
  public static let alignment = 32
  /// The most dimensions a tensor can have.
  static let mostDimensions = 4
  /// The longest tensor name readers take, in bytes.
  static let longestName = 63

  /// The file's final path.
  public let path: String
  /// Bytes of the whole file.
  public let byteCount: Int
  private let file: TemporaryFile
  private let places: [String: (offset: Int, count: Int)]
  private let coverage: Mutex<[String: WriteCoverage]>

  /// Lays out the file and reserves its space.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - force: Whether a file of that name is replaced.
  ///   - metadata: Keys and values in the order they are written, `general.architecture` among them.
  ///   - tensors: All tensors in the order of their bytes.
  /// - Throws: ``GGUFError`` or `FileError`.
  public init(
    _ path: String, force: Bool = false, metadata: [(key: String, value: GGUFValue)],
    tensors: [GGUFTensor]
  ) throws {
    self.path = path
    if Files.exists(path) {
      guard force else { throw FileError("create", path, .exists) }
      guard !Files.isFolder(path) else { throw FileError("replace", path, .notAFile) }
    }
    let (header, offsets, end) = try Self.header(metadata, tensors)
    byteCount = end
    places = Dictionary(
      uniqueKeysWithValues: zip(tensors, offsets).map { ($0.name, ($1, $0.byteCount)) })
    coverage = Mutex([:])
    file = try TemporaryFile(for: path)
    do {
      try file.descriptor.reserve(end)
      try header.withUnsafeBytes { try file.descriptor.write($0, at: 0) }
    } catch let error as FileError {
      throw error.named(path)
    }
  }

  /// Writes some or all bytes of a tensor.
  /// - Parameter byteOffset: Where the bytes go, from the start of the tensor.
  public func write(_ name: String, at byteOffset: Int = 0, _ bytes: UnsafeRawBufferPointer) throws
  {
    guard let place = places[name] else {
      throw GGUFError("tensor \(quoted(name)) was not declared; declare it with the others")
    }
    guard byteOffset >= 0, bytes.count <= place.count - byteOffset else {
      throw GGUFError("\(path): bytes beyond the \(place.count) of tensor \(quoted(name))")
    }
    let range = byteOffset..<byteOffset + bytes.count
    if let twice = coverage.withLock({ $0[name, default: WriteCoverage()].insert(range) }) {
      throw GGUFError("\(path): bytes \(twice) of tensor \(quoted(name)) written twice")
    }
    do {
      try file.descriptor.write(bytes, at: place.offset + byteOffset)
    } catch {
      throw error.named(path)
    }
  }

  /// Checks that every byte was written, brings the file to the disk and gives it its name.
  public func finish() throws {
    let written = coverage.withLock { $0 }
    for (name, place) in places.sorted(by: { $0.value.offset < $1.value.offset }) {
      if let gap = (written[name] ?? WriteCoverage()).firstGap(below: place.count) {
        throw GGUFError("\(path): bytes \(gap) of tensor \(quoted(name)) were never written")
      }
    }
    try file.commit()
    try Files.synchronizeFolder(ofPath: path)
  }

  /// The bytes before the tensors, the file offset of each tensor, and the end of the file.
  static func header(
    _ metadata: [(key: String, value: GGUFValue)], _ tensors: [GGUFTensor]
  ) throws(GGUFError) -> (bytes: [UInt8], offsets: [Int], end: Int) {
    var keys: Set<String> = []
    for (key, _) in metadata where !keys.insert(key).inserted {
      throw GGUFError("the metadata key \(quoted(key)) occurs twice")
    }
    var bytes = Array("GGUF".utf8)
    bytes.append(little: UInt32(3))
    bytes.append(little: UInt64(tensors.count))
    bytes.append(little: UInt64(metadata.count))
    for (key, value) in metadata {
      bytes.append(counted: key)
      value.append(to: &bytes)
    }
    var relative: [Int] = []
    var end = 0
    var names: Set<String> = []
    for tensor in tensors {
      try check(tensor)
      guard names.insert(tensor.name).inserted else {
        throw GGUFError("tensor \(quoted(tensor.name)) is declared twice")
      }
      bytes.append(counted: tensor.name)
      bytes.append(little: UInt32(tensor.shape.count))
      for size in tensor.shape.reversed() { bytes.append(little: UInt64(size)) }
      bytes.append(little: tensor.elementType.rawValue)
      bytes.append(little: UInt64(end))
      relative.append(end)
      end += aligned(tensor.byteCount)
    }
    let start = aligned(bytes.count)
    bytes += [UInt8](repeating: 0, count: start - bytes.count)
    return (bytes, relative.map { $0 + start }, start + end)
  }

  private static func check(_ tensor: GGUFTensor) throws(GGUFError) {
    guard (1...mostDimensions).contains(tensor.shape.count),
      tensor.shape.allSatisfy({ $0 > 0 })
    else {
      throw GGUFError(
        "tensor \(quoted(tensor.name)) has shape \(tensor.shape); GGUF takes 1 to \(mostDimensions) "
          + "positive dimensions")
    }
    guard tensor.name.utf8.count <= longestName else {
      throw GGUFError(
        "the tensor name \(quoted(tensor.name)) is longer than the \(longestName) bytes readers take"
      )
    }
    let block = tensor.elementType.blockLength
    guard (tensor.shape.last ?? 0) % block == 0 else {
      throw GGUFError(
        "tensor \(quoted(tensor.name)) has rows of \(tensor.shape.last ?? 0), not whole blocks of "
          + "\(block); choose a type without blocks")
    }
  }

  private static func aligned(_ offset: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }
}
