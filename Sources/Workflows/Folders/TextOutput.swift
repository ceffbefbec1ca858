import Formats
import Glibc

/// A text file that a command writes at its end, and looks at before it begins.
public struct TextOutput: Sendable {
  /// The file.
  public let path: String

  /// - Parameter replaces: Whether a file that is there is replaced.
  /// - Throws: ``WorkflowError`` when the file could not be written.
  public init(_ path: String, replaces: Bool) throws(WorkflowError) {
    guard !path.isEmpty else {
      throw WorkflowError("the file to write has no name; give one")
    }
    let slash = path.lastIndex(of: "/")
    let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    guard Files.isFolder(folder), !Files.isFolder(path) else {
      throw WorkflowError(
        "\(path): not a file in a folder that is there; make the folder first")
    }
    // The file is made beside its name and takes that in the end, so the folder is what counts.
    guard access(folder, W_OK | X_OK) == 0 else {
      throw WorkflowError(
        "\(path): its folder cannot be written to; check the permissions or name another")
    }
    guard replaces || !Files.exists(path) else {
      throw WorkflowError("\(path): exists already; give --force to replace it")
    }
    self.path = path
  }

  /// Writes the file, in one step.
  public func write(_ text: String) throws { try Files.write(text, to: path) }
}
