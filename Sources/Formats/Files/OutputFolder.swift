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
  public var stagingPath: String { staging.path }
  private let force: Bool
  private let keeping: [String]
  private let staging: StagingFolder
  private var isCommitted = false

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
    staging = try StagingFolder(
      prefix: ".\(name).partial-", in: folder, keepingReplaced: !Files.exists(self.path))
  }

  /// The staging path of the file `name`.
  public func path(of name: String) -> String { "\(stagingPath)/\(name)" }

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
      staging.release()
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
    staging.release()
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
