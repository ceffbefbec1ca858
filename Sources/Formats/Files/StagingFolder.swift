import Glibc

/// A folder for work in progress, `PREFIX` and this process's number. It is removed, with all in it,
/// when the last reference goes. Such folders that killed processes left are removed when the same
/// prefix is next used: a lock tells them from those still in use.
public final class StagingFolder {
  /// The folder.
  public let path: String
  private var isReleased = false
  /// Open and locked for as long as the folder is in use.
  private let lock: Int32

  /// Makes an empty folder; `folder` and its parents are created as needed.
  ///
  /// - Parameters:
  ///   - prefix: What the name begins with.
  ///   - folder: Where it is made.
  public convenience init(prefix: String, in folder: String) throws(FileError) {
    try self.init(prefix: prefix, in: folder, keepingReplaced: true)
  }

  /// - Parameter keepingReplaced: Leaves the folders that stepped aside for an ``OutputFolder``: with
  ///   nothing under the final name, such a one is the only copy there is.
  init(prefix: String, in folder: String, keepingReplaced: Bool) throws(FileError) {
    try Files.createFolder(folder)
    Self.removeAbandoned(prefix: prefix, in: folder, keepingReplaced: keepingReplaced)
    var path = "\(folder)/\(prefix)\(getpid())"
    var lock = try Self.create(path)
    var attempt = 1
    while lock == nil {
      attempt += 1
      guard attempt < 1000 else { throw FileError("create", path, .exists) }
      path = "\(folder)/\(prefix)\(getpid())-\(attempt)"
      lock = try Self.create(path)
    }
    self.path = path
    self.lock = lock ?? -1
  }

  deinit {
    if !isReleased { try? Files.remove(path) }
    if lock >= 0 { close(lock) }
  }

  /// Leaves the folder to the caller, who has given it another name.
  func release() { isReleased = true }

  /// Makes and locks a folder; `nil` when the name is taken, or another process took the new folder
  /// for an abandoned one before it was locked.
  private static func create(_ path: String) throws(FileError) -> Int32? {
    guard mkdir(path, 0o755) == 0 else {
      if errno == EEXIST { return nil }
      throw FileError("create", path)
    }
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw FileError("open", path)
    }
    // Without locks, as on some network file systems, nothing is ever taken for abandoned.
    let isRemoved = flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    if !isRemoved, Files.isFolder(path) { return descriptor }
    close(descriptor)
    return nil
  }

  /// Removes folders of this prefix that no process holds any more.
  private static func removeAbandoned(
    prefix: String, in folder: String, keepingReplaced: Bool
  ) {
    for name in (try? Files.names(inFolder: folder)) ?? [] where name.hasPrefix(prefix) {
      var rest = name.dropFirst(prefix.count)
      if rest.hasSuffix("-replaced") {
        if keepingReplaced { continue }
        rest = rest.dropLast("-replaced".count)
      }
      // `PID` or `PID-N`: anything else under such a name is not ours.
      guard
        rest.split(separator: "-", omittingEmptySubsequences: false)
          .allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
      else { continue }
      let path = "\(folder)/\(name)"
      let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, names(descriptor, path) else { continue }
      // What cannot be removed, as another user's, costs space only.
      try? Files.remove(path)
    }
  }

  /// Whether the path still leads to what the descriptor has open.
  private static func names(_ descriptor: Int32, _ path: String) -> Bool {
    var (open, there) = (stat(), stat())
    return fstat(descriptor, &open) == 0 && lstat(path, &there) == 0
      && open.st_ino == there.st_ino && open.st_dev == there.st_dev
  }
}
