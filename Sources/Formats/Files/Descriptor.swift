import Glibc

/// An open file, closed when the last reference goes.
final class Descriptor: Sendable {
  let path: String
  private let fd: Int32

  private init(fd: Int32, path: String) {
    self.fd = fd
    self.path = path
  }

  deinit { close(fd) }

  /// Opens a regular file for reading.
  static func reading(_ path: String) throws(FileError) -> Descriptor {
    // Non-blocking, so that opening a named pipe returns and can be refused.
    let fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard fd >= 0 else { throw FileError("open", path) }
    let descriptor = Descriptor(fd: fd, path: path)
    guard try descriptor.status().st_mode & S_IFMT == S_IFREG else {
      throw FileError("open", path, .notAFile)
    }
    return descriptor
  }

  /// Creates a file for writing that must not exist yet.
  static func creating(_ path: String) throws(FileError) -> Descriptor {
    let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard fd >= 0 else { throw FileError("create", path) }
    return Descriptor(fd: fd, path: path)
  }

  private func status() throws(FileError) -> stat {
    var status = stat()
    guard fstat(fd, &status) == 0 else { throw FileError("inspect", path) }
    return status
  }

  /// The current size in bytes.
  func size() throws(FileError) -> Int { Int(try status().st_size) }

  /// Fills `buffer` with the bytes from `offset` on.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < buffer.count {
      let destination = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count = pread(
        fd, destination.baseAddress, min(destination.count, Self.largestTransfer), offset + done)
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError("read", path)
      }
      guard count > 0 else {
        throw FileError("read", path, .endOfFile(expected: offset + buffer.count))
      }
      done += count
    }
  }

  /// Writes all of `buffer` from `offset` on.
  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < buffer.count {
      let source = UnsafeRawBufferPointer(rebasing: buffer[done...])
      let count = pwrite(
        fd, source.baseAddress, min(source.count, Self.largestTransfer), offset + done)
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError("write", path)
      }
      done += count
    }
  }

  /// Sets the size after checking that the disk has room, so that a full disk is noticed now and
  /// not after hours of work.
  func reserve(_ bytes: Int) throws(FileError) {
    var disk = statvfs()
    if fstatvfs(fd, &disk) == 0 {
      let (free, overflow) = disk.f_bavail.multipliedReportingOverflow(by: disk.f_frsize)
      if !overflow, UInt(bytes) > free { throw FileError("write", path, .system(ENOSPC)) }
    }
    guard ftruncate(fd, bytes) == 0 else { throw FileError("write", path) }
  }

  /// Waits until what was written is on the disk.
  func synchronize() throws(FileError) {
    guard fsync(fd) == 0 else { throw FileError("synchronize", path) }
  }

  /// Tells the kernel to read ahead generously.
  func adviseSequential() { posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL) }

  /// Maps the first `size` bytes read-only.
  func map(size: Int) throws(FileError) -> MappedBytes {
    guard size > 0 else { return MappedBytes(UnsafeRawBufferPointer(start: nil, count: 0)) }
    guard let start = mmap(nil, size, PROT_READ, MAP_SHARED, fd, 0), start != MAP_FAILED else {
      throw FileError("map", path)
    }
    return MappedBytes(UnsafeRawBufferPointer(start: start, count: size))
  }

  /// Large enough to amortise the call, small enough to be answered by signals.
  private static let largestTransfer = 32 << 20
}

/// A read-only mapping of a file, removed when the last reference goes.
final class MappedBytes: @unchecked Sendable {
  // Unchecked: the pointer is immutable and so are the bytes seen through it.
  let bytes: UnsafeRawBufferPointer

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  deinit {
    if let start = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: start), bytes.count)
    }
  }

  /// Asks the kernel to fetch these bytes before they are touched.
  func prefetch(_ range: Range<Int>) {
    let page = 4096
    let start = range.lowerBound / page * page
    guard let base = bytes.baseAddress, range.count > page else { return }
    madvise(
      UnsafeMutableRawPointer(mutating: base + start), range.upperBound - start, MADV_WILLNEED)
  }
}
