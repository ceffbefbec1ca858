import Formats
import Glibc

/// A folder for work that nobody keeps, in `TMPDIR` or `/tmp`. It goes with its last reference; what
/// a killed program left is removed by the next.
public final class ScratchFolder {
  /// The folder.
  public var path: String { folder.path }
  private let folder: StagingFolder

  /// Makes an empty folder.
  /// - Parameter name: What its name begins with, behind a dot.
  public init(_ name: String) throws {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? ""
    folder = try StagingFolder(prefix: ".\(name).scratch-", in: base.isEmpty ? "/tmp" : base)
  }
}
