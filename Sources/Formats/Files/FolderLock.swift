import Glibc

/// Keeps a folder to one process, for as long as the object lives; the system ends it with the
/// process. File systems without locks let everyone in.
public final class FolderLock {
  private let descriptor: Int32

  /// Locks an existing folder.
  /// - Throws: ``FileError`` when another process holds it.
  public init(_ folder: String) throws(FileError) {
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", folder) }
    if flock(descriptor, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
      throw FileError("use", folder, .inUse)
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }
}
