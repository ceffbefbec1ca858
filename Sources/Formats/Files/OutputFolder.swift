import Glibc

/// A folder that appears complete or not at all.
///
/// Files are put into a hidden sibling, `.NAME.partial-PID`, which takes the final name in one step
/// on ``commit()``. When the last reference goes without a commit, the sibling and all in it are
/// removed, and a folder that was to be replaced is as it was. Siblings that killed processes left
/// are removed when the same name is next written: a lock tells them from those still in use.
public final class OutputFolder {
  /// The name the folder will have.
  public let path: String
  /// The folder to put files into until then.
  public let stagingPath: String
  private let force: Bool
  private let keeping: [String]
  private var isCommitted = false
  /// Open and locked for as long as the staging folder is in use.
  private let lock: Int32

  /// Starts an output folder; parents of `path` are created as needed.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - force: Replaces a folder already there, on commit. Never the root, a home folder, or a
  ///     folder that holds the working folder.
  ///   - keeping: Paths that must outlive the folder that is replaced, such as what it is made from.
  public init(
    _ path: String, force: Bool = false, keeping: [String] = []
  ) throws(FileError) {
    let (folder, name) = Files.folderAndName(of: path)
    self.path = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
    self.force = force
    self.keeping = keeping
    try Self.checkReplaceable(self.path, force: force, keeping: keeping)
    try Files.createFolder(folder)
    let prefix = ".\(name).partial-"
    Self.removeAbandoned(prefix: prefix, in: folder, keepingReplaced: !Files.exists(self.path))
    var staging = "\(folder)/\(prefix)\(getpid())"
    var lock = try Self.create(staging)
    var attempt = 1
    while lock == nil {
      attempt += 1
      guard attempt < 1000 else { throw FileError("create", staging, .exists) }
      staging = "\(folder)/\(prefix)\(getpid())-\(attempt)"
      lock = try Self.create(staging)
    }
    stagingPath = staging
    self.lock = lock ?? -1
  }

  /// Makes and locks a staging folder; `nil` when the name is taken, or another process took the new
  /// folder for an abandoned one before it was locked.
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

  deinit {
    if !isCommitted { try? Files.remove(stagingPath) }
    if lock >= 0 { close(lock) }
  }

  /// Removes staging folders of this name that no process holds any more.
  ///
  /// - Parameter keepingReplaced: Leaves folders that stepped aside: with nothing under the final
  ///   name, such a one is the only copy there is.
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

  /// The staging path of the file `name`.
  public func path(of name: String) -> String { "\(stagingPath)/\(name)" }

  /// Whether the path still leads to what the descriptor has open.
  private static func names(_ descriptor: Int32, _ path: String) -> Bool {
    var (open, there) = (stat(), stat())
    return fstat(descriptor, &open) == 0 && lstat(path, &there) == 0
      && open.st_ino == there.st_ino && open.st_dev == there.st_dev
  }

  /// Brings everything to the disk and gives the folder its name.
  ///
  /// A folder to be replaced changes names with the new one in one step, where the file system can
  /// do that, and is removed only then. Elsewhere it steps aside just before and is put back should
  /// the renaming fail.
  public func commit() throws(FileError) {
    guard !isCommitted else { throw FileError("create", path, .alreadyCommitted) }
    try Self.synchronizeTree(stagingPath)
    // Again: someone else may have made the folder meanwhile.
    try Self.checkReplaceable(path, force: force, keeping: keeping)
    if Files.exists(path), Self.exchange(stagingPath, path) {
      isCommitted = true
      try Files.synchronizeFolder(ofPath: path)
      // The new folder is in place; a rest of the old one costs space only.
      try? Files.remove(stagingPath)
      return
    }
    var old: String?
    if Files.exists(path) {
      let aside = "\(stagingPath)-replaced"
      guard rename(path, aside) == 0 else { throw FileError("replace", path) }
      old = aside
    }
    guard rename(stagingPath, path) == 0 else {
      let error = FileError("rename", path)
      if let old { rename(old, path) }
      throw error
    }
    isCommitted = true
    try Files.synchronizeFolder(ofPath: path)
    if let old { try? Files.remove(old) }
  }

  /// Gives each of two folders the other's name in one step; false where the system cannot.
  private static func exchange(_ first: String, _ second: String) -> Bool {
    typealias Rename =
      @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
    // The headers hide renameat2 and its flags from Swift.
    guard let symbol = dlsym(nil, "renameat2") else { return false }
    let exchangeNames: UInt32 = 2
    return unsafeBitCast(symbol, to: Rename.self)(AT_FDCWD, first, AT_FDCWD, second, exchangeNames)
      == 0
  }

  private static func checkReplaceable(
    _ path: String, force: Bool, keeping: [String]
  ) throws(FileError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard force else { throw FileError("create", path, .exists) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError("replace", path, .notAFolder) }
    guard let target = resolved(path) else { throw FileError("inspect", path) }
    let guarded = [".", getenv("HOME").map { String(cString: $0) }].compactMap { $0 }
    for place in guarded.compactMap(resolved) where (place + "/").hasPrefix(target + "/") {
      throw FileError("replace", path, .unsafeReplacement)
    }
    for place in keeping.compactMap(resolved) where (place + "/").hasPrefix(target + "/") {
      throw FileError("replace", path, .holdsInput(place))
    }
    if target == "/" { throw FileError("replace", path, .unsafeReplacement) }
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }

  private static func synchronizeTree(_ folder: String) throws(FileError) {
    for name in try Files.names(inFolder: folder) {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { throw FileError("inspect", path) }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: try synchronizeTree(path)
      case S_IFREG: try Descriptor.reading(path).synchronize()
      default: break
      }
    }
    try Files.synchronizeFolder(folder)
  }
}
