import Glibc

/// A folder that is removed with its files when the value goes away.
final class TemporaryFolder {
  let path: String

  init() {
    var template = Array("/tmp/herd-reports-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { buffer in
      buffer.baseAddress.flatMap { mkdtemp($0) }.map { String(cString: $0) } ?? "/tmp"
    }
  }

  deinit {
    unlink(file("run.jsonl"))
    rmdir(path)
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  /// Replaces a file's contents.
  func write(_ text: String, to name: String) {
    let descriptor = open(file(name), O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    defer { close(descriptor) }
    var text = text
    text.withUTF8 { _ = Glibc.write(descriptor, $0.baseAddress, $0.count) }
  }

  /// A file's contents, empty when it is not there.
  func read(_ name: String) -> String {
    let descriptor = open(file(name), O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }
}
