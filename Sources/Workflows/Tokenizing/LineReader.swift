import Glibc

/// Reads a file or standard input line by line, split at LF only.
public final class LineReader {
  /// What errors call the input.
  public let name: String
  /// Number of the line read last, from 1.
  public private(set) var line = 0
  private let descriptor: Int32
  private let ownsDescriptor: Bool
  private var buffer: [UInt8] = []
  private var cursor = 0
  private var isAtEnd = false

  private static let lineLimit = 256 << 20

  /// Reads the file at `path`; `nil` reads standard input.
  /// - Throws: ``WorkflowError`` when the file cannot be opened.
  public init(path: String?) throws {
    guard let path else {
      (name, descriptor, ownsDescriptor) = ("standard input", STDIN_FILENO, false)
      return
    }
    let opened = open(path, O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else {
      throw WorkflowError(
        "cannot open \(path): \(String(cString: strerror(errno))); check the path")
    }
    (name, descriptor, ownsDescriptor) = (path, opened, true)
  }

  deinit { if ownsDescriptor { close(descriptor) } }

  /// The next line without its LF, `nil` at the end. A last line need not end in LF.
  public func next() throws -> String? {
    guard let bytes = try nextBytes() else { return nil }
    line += 1
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw WorkflowError("\(name):\(line): the line is not UTF-8; convert the text with iconv")
    }
    return text
  }

  private func nextBytes() throws -> ArraySlice<UInt8>? {
    var searched = cursor
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { cursor = end + 1 }
        return buffer[cursor..<end]
      }
      searched = buffer.count - cursor
      buffer.removeFirst(cursor)
      cursor = 0
      guard buffer.count <= Self.lineLimit else {
        throw WorkflowError("\(name):\(line + 1): the line exceeds 256 MiB; break it into lines")
      }
      try fill()
      if isAtEnd {
        guard !buffer.isEmpty else { return nil }
        defer { cursor = buffer.count }
        return buffer[...]
      }
    }
  }

  private func fill() throws {
    guard !isAtEnd else { return }
    let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 18) { bytes, count in
      var received = read(descriptor, bytes.baseAddress, bytes.count)
      while received < 0, errno == EINTR {
        received = read(descriptor, bytes.baseAddress, bytes.count)
      }
      isAtEnd = received <= 0
      count = max(0, received)
      failure = received < 0 ? errno : 0
    }
    guard failure == 0 else {
      throw WorkflowError("cannot read \(name): \(String(cString: strerror(failure)))")
    }
    buffer += chunk
  }

  private var failure: Int32 = 0
}
