import Glibc

/// A folder that appears complete or not at all.
///
/// Files are put into a hidden sibling, `.NAME.partial-PID`, which takes the final name in one step
/// on ``commit()``. When the last reference goes without a commit, the sibling and all in it are
/// removed, and a folder that was to be replaced is as it was.
public final class OutputFolder {
  /// The name the folder will have.
  public let path: String
  /// The folder to put files into until then.
  public let stagingPath: String
  private let force: Bool
  private var isCommitted = false

  /// Starts an output folder; parents of `path` are created as needed.
  ///
  /// - Parameters:
  ///   - path: The final name.
  ///   - force: Replaces a folder already there, on commit. Never the root, a home folder, or a
  ///     folder that holds the working folder.
  public init(_ path: String, force: Bool = false) throws(FileError) {
    let (folder, name) = Files.folderAndName(of: path)
    self.path = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
    self.force = force
    try Self.checkReplaceable(self.path, force: force)
    try Files.createFolder(folder)
    var staging = "\(folder)/.\(name).partial-\(getpid())"
    var attempt = 1
    while mkdir(staging, 0o755) != 0 {
      guard errno == EEXIST, attempt < 1000 else { throw FileError("create", staging) }
      attempt += 1
      staging = "\(folder)/.\(name).partial-\(getpid())-\(attempt)"
    }
    stagingPath = staging
  }

  deinit {
    if !isCommitted { try? Files.remove(stagingPath) }
  }

  /// The staging path of the file `name`.
  public func path(of name: String) -> String { "\(stagingPath)/\(name)" }

  /// Brings everything to the disk and gives the folder its name.
  ///
  /// A folder to be replaced steps aside just before, is put back should the renaming fail, and is
  /// removed only when the new one is in place.
  public func commit() throws(FileError) {
    guard !isCommitted else { throw FileError("create", path, .alreadyCommitted) }
    try Self.synchronizeTree(stagingPath)
    // Again: someone else may have made the folder meanwhile.
    try Self.checkReplaceable(path, force: force)
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
    if let old { try Files.remove(old) }
  }

  private static func checkReplaceable(_ path: String, force: Bool) throws(FileError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard force else { throw FileError("create", path, .exists) }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError("replace", path, .notAFolder) }
    guard let target = resolved(path) else { throw FileError("inspect", path) }
    let guarded = [".", getenv("HOME").map { String(cString: $0) }].compactMap { $0 }
    for place in guarded.compactMap(resolved) where (place + "/").hasPrefix(target + "/") {
      throw FileError("replace", path, .unsafeReplacement)
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
