import Glibc

/// Standard output: results, and nothing else.
enum StandardOutput {
  /// Writes all of `text`.
  /// - Throws: ``OutputError`` when the system does not take it, such as on a full disk.
  static func write(_ text: String) throws(OutputError) {
    if let code = writeAll(text, to: STDOUT_FILENO) { throw OutputError(code: code) }
  }
}

/// Standard error: logs, progress and errors.
enum StandardError {
  /// Writes `text`; there is nowhere left to report a failure to.
  static func write(_ text: String) { _ = writeAll(text, to: STDERR_FILENO) }
}

/// Standard output does not take what is written.
struct OutputError: Error, CustomStringConvertible {
  let code: Int32

  var description: String {
    "cannot write to standard output: \(String(cString: strerror(code)))"
  }
}

/// Writes all of `text` and returns the `errno` of a failure.
private func writeAll(_ text: String, to descriptor: Int32) -> Int32? {
  var text = text
  return text.withUTF8 { bytes in
    var rest = UnsafeRawBufferPointer(bytes)
    while !rest.isEmpty {
      let count = write(descriptor, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        return errno
      }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
    }
    return nil
  }
}
