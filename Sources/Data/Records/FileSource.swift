import Glibc

/// The bytes of a regular file, in chunks, as they are.
final class FileSource: ByteSource {
  private let path: String
  private let fd: Int32
  private static let chunk = 1 << 18

  init(_ path: String) throws(RecordError) {
    self.path = path
    // Non-blocking, so that a named pipe is refused below instead of waited for.
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard fd >= 0 else {
      throw RecordError(file: path, "cannot be opened (\(Self.reason)); check the path")
    }
    var status = stat()
    guard fstat(fd, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(fd)
      throw RecordError(file: path, "not a regular file; name a .jsonl or .txt file")
    }
  }

  deinit { close(fd) }

  func next() throws(RecordError) -> [UInt8] {
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, initialized in
      var count = read(fd, buffer.baseAddress, buffer.count)
      while count < 0, errno == EINTR { count = read(fd, buffer.baseAddress, buffer.count) }
      failed = count < 0
      initialized = max(count, 0)
    }
    if failed { throw RecordError(file: path, "cannot be read (\(Self.reason))") }
    return bytes
  }

  private static var reason: String { String(cString: strerror(errno)) }
}
