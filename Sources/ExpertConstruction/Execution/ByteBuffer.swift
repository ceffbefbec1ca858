/// A block of memory for tensor bytes.
///
/// `@unchecked Sendable`: it is handed from thread to thread, never shared while written.
final class ByteBuffer: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ count: Int) {
    bytes = .allocate(byteCount: max(1, count), alignment: 64)
  }

  deinit { bytes.deallocate() }

  /// The bytes in `range`.
  func slice(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: bytes[range])
  }
}
