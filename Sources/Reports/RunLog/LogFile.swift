import Glibc

/// An open log file.
final class LogFile {
  private let path: String
  private let descriptor: Int32

  init(path: String, writable: Bool) throws(RunLogError) {
    self.path = path
    let flags = writable ? O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC : O_RDONLY | O_CLOEXEC
    descriptor = open(path, flags, 0o644)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: Self.reason()) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Everything in the file.
  func contents() throws(RunLogError) -> [UInt8] {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .cannotRead(path: path, reason: Self.reason())
    }
    var failed = false
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
      while count < buffer.count {
        let got = pread(
          descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count, off_t(count))
        if got < 0 && errno == EINTR { continue }
        failed = got < 0
        if got <= 0 { return }
        count += got
      }
    }
    guard !failed else { throw .cannotRead(path: path, reason: Self.reason()) }
    return bytes
  }

  /// Appends the whole text or, where the disk is full, nothing.
  func append(_ text: String) throws(RunLogError) {
    let before = lseek(descriptor, 0, SEEK_END)
    var text = text
    let written = text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return false }
        done += count
      }
      return true
    }
    guard !written else { return }
    let error = RunLogError.cannotWrite(path: path, reason: Self.reason())
    // A part of a line left behind would spoil the next one.
    if before >= 0 { try? truncate(to: Int(before)) }
    throw error
  }

  func truncate(to size: Int) throws(RunLogError) {
    guard ftruncate(descriptor, off_t(size)) == 0 else {
      throw .cannotWrite(path: path, reason: Self.reason())
    }
  }

  func synchronize() throws(RunLogError) {
    guard fsync(descriptor) == 0 else { throw .cannotWrite(path: path, reason: Self.reason()) }
  }

  private static func reason() -> String { String(cString: strerror(errno)) }
}
