/// A safetensors file open for reading; its header is checked in full, its weights are not read.
public final class SafetensorsFile: Sendable {
  /// How weights are read.
  public enum Access: Sendable {
    /// ``SafetensorsFile/withBytes(of:_:)`` gives the mapped file without a copy. If the file is
    /// cut short meanwhile, touching its bytes ends the process: use for files nobody writes.
    case mapped
    /// Every access copies; a file that changes meanwhile gives an error.
    case pread
  }

  /// The path it was opened by.
  public let path: String
  /// The header.
  public let header: SafetensorsHeader
  private let descriptor: Descriptor
  private let mapping: MappedBytes?
  private let index: NameIndex

  /// Opens a file and checks its header.
  public init(path: String, access: Access = .mapped) throws(SafetensorsError) {
    self.path = path
    do throws(FileError) {
      descriptor = try Descriptor.reading(path)
    } catch {
      throw SafetensorsError(path, .file(error))
    }
    let fileBytes: Int
    (header, fileBytes) = try Self.readHeader(descriptor)
    var index = NameIndex(minimumCapacity: header.tensors.count)
    for position in header.tensors.indices {
      _ = index.insert(header.tensors[position].name, at: position) { [header] in
        header.tensors[$0].name
      }
    }
    self.index = index
    do throws(FileError) {
      mapping = access == .mapped ? try descriptor.map(size: fileBytes) : nil
    } catch {
      throw SafetensorsError(path, .file(error))
    }
    descriptor.adviseSequential()
  }

  /// The tensors in the order of their bytes.
  public var tensors: [TensorDescription] { header.tensors }

  /// The free-form `__metadata__`.
  public var metadata: [String: String] { header.metadata }

  /// The tensor of that name, or `nil`.
  public subscript(name: String) -> TensorDescription? {
    index.find(name) { header.tensors[$0].name }.map { header.tensors[$0] }
  }

  /// The tensor of that name.
  ///
  /// - Throws: `SafetensorsError` that suggests the nearest name when there is none.
  public func tensor(_ name: String) throws(SafetensorsError) -> TensorDescription {
    guard let tensor = self[name] else {
      let nearest = nearestName(to: name, in: tensors.lazy.map(\.name))
      throw SafetensorsError(path, .tensorNotFound(name: name, nearest: nearest))
    }
    return tensor
  }

  /// Copies a tensor, or `bytes` of it, into a buffer of exactly that size.
  ///
  /// Nothing but these bytes is read. ``TensorDescription/byteRange(ofRows:)`` gives the bytes of a
  /// slice along the first dimension.
  public func read(
    _ name: String, bytes: Range<Int>? = nil, into buffer: UnsafeMutableRawBufferPointer
  ) throws(SafetensorsError) {
    let tensor = try tensor(name)
    let bytes = bytes ?? 0..<tensor.byteCount
    guard bytes.lowerBound >= 0, bytes.upperBound <= tensor.byteCount else {
      throw SafetensorsError(
        path, .bytesOutOfRange(tensor: name, bytes: bytes, count: tensor.byteCount))
    }
    guard buffer.count == bytes.count else {
      throw SafetensorsError(
        path,
        .invalidTensorView(tensor: name, needed: bytes.count, bufferBytes: buffer.count))
    }
    // Also for mapped files: a system call copies faster than page faults do.
    do throws(FileError) {
      try descriptor.read(
        into: buffer, at: header.dataOffset + tensor.byteRange.lowerBound + bytes.lowerBound)
    } catch {
      throw SafetensorsError(path, .file(error))
    }
  }

  /// Calls `body` with the bytes of a tensor, aligned for its element type and valid until `body`
  /// returns.
  ///
  /// A mapped file gives its own pages, unless its writer left the tensor misaligned; otherwise the
  /// tensor is copied to a temporary buffer.
  public func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    let tensor = try tensor(name)
    let start = header.dataOffset + tensor.byteRange.lowerBound
    if let mapping, start % tensor.elementType.alignment == 0 {
      let range = start..<start + tensor.byteCount
      mapping.prefetch(range)
      return try body(UnsafeRawBufferPointer(rebasing: mapping.bytes[range]))
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: tensor.byteCount, alignment: 64)
    defer { buffer.deallocate() }
    try read(name, into: buffer)
    return try body(UnsafeRawBufferPointer(buffer))
  }

  private static func readHeader(
    _ descriptor: Descriptor
  ) throws(SafetensorsError) -> (SafetensorsHeader, fileBytes: Int) {
    do {
      let fileBytes = try descriptor.size()
      let length = try withTemporaryBytes(min(8, fileBytes)) { prefix in
        try descriptor.read(into: prefix, at: 0)
        return try SafetensorsHeader.headerBytes(
          prefix: UnsafeRawBufferPointer(prefix), fileBytes: fileBytes, file: descriptor.path)
      }
      let header = try withTemporaryBytes(length) { json in
        try descriptor.read(into: json, at: 8)
        return try SafetensorsHeader(
          json: UnsafeRawBufferPointer(json), fileBytes: fileBytes, file: descriptor.path)
      }
      return (header, fileBytes)
    } catch let error as SafetensorsError {
      throw error
    } catch let error as FileError {
      throw SafetensorsError(descriptor.path, .file(error))
    } catch {
      preconditionFailure("reading a header throws no other errors: \(error)")
    }
  }

  private static func withTemporaryBytes<Result>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Result
  ) throws -> Result {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
    defer { buffer.deallocate() }
    return try body(buffer)
  }
}
