import Formats
import Glibc

/// The real checkpoint and data some tests read. They are not part of the package, so tests that
/// need them are enabled only where they are present.
public enum RealInput {
  /// The folder in `HERD_REAL_DIR`, by default `../shared/real` seen from the package.
  public static let folder: String = {
    if let folder = getenv("HERD_REAL_DIR") { return String(cString: folder) }
    return PackageFolder.path + "/../shared/real"
  }()

  /// Whether checkpoint and data are there.
  public static var isPresent: Bool {
    Files.isFolder("\(folder)/dense-32m") && Files.isFolder("\(folder)/data")
  }
}
