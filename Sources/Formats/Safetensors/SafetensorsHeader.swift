/// The layout of a safetensors file: eight bytes of header length, the header, the data section.
public struct SafetensorsHeader: Equatable, Sendable {
  /// The most bytes the format allows for the JSON part of the header.
  public static let maximumBytes = 100_000_000

  /// The tensors in the order of their bytes.
  public let tensors: [TensorDescription]
  /// The free-form `__metadata__`.
  public let metadata: [String: String]
  /// Where the data section begins in the file.
  public let dataOffset: Int

  /// The size of the data section in bytes.
  public var dataCount: Int { tensors.last?.byteRange.upperBound ?? 0 }

  /// Reads the number of header bytes from the first eight bytes of a file.
  ///
  /// - Parameters:
  ///   - prefix: The first bytes of the file: eight, or all when there are fewer.
  ///   - fileBytes: The size of the file.
  ///   - file: The path to name in errors.
  public static func headerBytes(
    prefix: UnsafeRawBufferPointer, fileBytes: Int, file: String
  ) throws(SafetensorsError) -> Int {
    guard prefix.count >= 8, fileBytes >= 8 else {
      throw SafetensorsError(file, .headerTooSmall(fileBytes: fileBytes))
    }
    let length = UInt64(littleEndian: prefix.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(maximumBytes) else {
      if prefix.prefix(8).elementsEqual("version ".utf8) {
        throw SafetensorsError(file, .pointerFile)
      }
      throw SafetensorsError(file, .headerTooLarge(headerBytes: length))
    }
    guard Int(length) <= fileBytes - 8 else {
      throw SafetensorsError(
        file, .invalidHeaderLength(headerBytes: Int(length), fileBytes: fileBytes))
    }
    return Int(length)
  }

  /// Reads and checks the JSON part of a header.
  ///
  /// - Parameters:
  ///   - json: Exactly the header bytes behind the length.
  ///   - fileBytes: The size of the file, which the tensors must fill.
  ///   - file: The path to name in errors.
  public init(
    json: UnsafeRawBufferPointer, fileBytes: Int, file: String
  ) throws(SafetensorsError) {
    let parser = HeaderParser(file: file)
    (tensors, metadata) = try parser.parse(json)
    dataOffset = 8 + json.count
    let end = tensors.last?.byteRange.upperBound ?? 0
    guard end == fileBytes - dataOffset else {
      throw SafetensorsError(
        file,
        .metadataIncompleteBuffer(describedBytes: end, dataBytes: fileBytes - dataOffset))
    }
  }

  /// Lays out a file: later element types first, then by name, without gaps.
  ///
  /// - Parameters:
  ///   - declarations: The tensors to be written, with distinct names other than `__metadata__`.
  ///   - metadata: The free-form `__metadata__`; left out when empty.
  public init(
    _ declarations: [TensorDeclaration], metadata: [String: String]
  ) throws(SafetensorsError) {
    let sorted = declarations.sorted { left, right in
      let (a, b) = (left.elementType.rank, right.elementType.rank)
      return a == b ? left.name.utf8.lexicographicallyPrecedes(right.name.utf8) : a > b
    }
    var tensors: [TensorDescription] = []
    tensors.reserveCapacity(sorted.count)
    var names = NameIndex(minimumCapacity: sorted.count)
    var end = 0
    for (position, tensor) in sorted.enumerated() {
      guard !haveSameBytes(tensor.name, "__metadata__"),
        names.insert(tensor.name, at: position, names: { sorted[$0].name }) == nil
      else {
        let detail = "tensor name \(quoted(tensor.name)) is reserved or taken; choose another"
        throw SafetensorsError("", .invalidHeaderDeserialization(detail: detail))
      }
      let bytes: Int
      switch TensorSize(tensor.elementType, tensor.shape) {
      case .bytes(let count): bytes = count
      case .overflow: throw SafetensorsError("", .validationOverflow(tensor: tensor.name))
      case .misaligned: throw SafetensorsError("", .misalignedSlice(tensor: tensor.name))
      }
      let (next, overflow) = end.addingReportingOverflow(bytes)
      guard !overflow else { throw SafetensorsError("", .validationOverflow(tensor: tensor.name)) }
      tensors.append(
        TensorDescription(
          name: tensor.name, elementType: tensor.elementType, shape: tensor.shape,
          byteRange: end..<next))
      end = next
    }
    self.tensors = tensors
    self.metadata = metadata
    dataOffset = Self.encodedCount(Self.json(tensors, metadata).utf8.count)
  }

  /// The bytes in front of the data section: the length, the JSON, and spaces up to a multiple of
  /// eight.
  public func encoded() -> [UInt8] {
    let json = Self.json(tensors, metadata)
    let count = Self.encodedCount(json.utf8.count)
    var bytes = withUnsafeBytes(of: UInt64(count - 8).littleEndian) { Array($0) }
    bytes.reserveCapacity(count)
    bytes += json.utf8
    bytes += repeatElement(UInt8(ascii: " "), count: count - bytes.count)
    return bytes
  }

  private static func encodedCount(_ jsonCount: Int) -> Int { 8 + (jsonCount + 7) / 8 * 8 }

  private static func json(
    _ tensors: [TensorDescription], _ metadata: [String: String]
  ) -> String {
    var root = JSONObject()
    if !metadata.isEmpty {
      var entries = JSONObject()
      for (key, value) in metadata.sorted(by: { $0.key < $1.key }) { entries[key] = .string(value) }
      root["__metadata__"] = .object(entries)
    }
    for tensor in tensors {
      root[tensor.name] = [
        "dtype": .string(tensor.elementType.rawValue),
        "shape": .array(tensor.shape.map { JSON($0) }),
        "data_offsets": [JSON(tensor.byteRange.lowerBound), JSON(tensor.byteRange.upperBound)],
      ]
    }
    return JSON.object(root).serialized()
  }
}
