import Formats
import Glibc

/// A folder for one test, removed with all it holds when the test lets go of it.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init() {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(base)/herd-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("cannot create a folder in \(base)") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? Files.remove(path) }

  /// Writes a file of the folder, making folders on the way, and returns its path.
  @discardableResult
  public func write(_ name: String, _ bytes: [UInt8]) -> String {
    let file = "\(path)/\(name)"
    for (offset, character) in name.enumerated() where character == "/" {
      mkdir("\(path)/\(name.prefix(offset))", 0o755)
    }
    guard let handle = fopen(file, "w") else { fatalError("cannot write \(file)") }
    fwrite(bytes, 1, bytes.count, handle)
    fclose(handle)
    return file
  }

  /// Writes a text file of the folder and returns its path.
  @discardableResult
  public func write(_ name: String, _ text: String) -> String { write(name, Array(text.utf8)) }

  /// All names in the folder, hidden ones included, sorted.
  public var names: [String] { (try? Files.names(inFolder: path)) ?? [] }
}
