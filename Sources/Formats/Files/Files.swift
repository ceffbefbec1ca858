import Glibc

/// Whole small files: reading within a limit and writing so that a reader never sees half of one.
public enum Files {
  /// The bytes of a regular file of at most `maximumBytes`.
  public static func read(
    _ path: String, maximumBytes: Int = 256 << 20
  ) throws(FileError) -> [UInt8] {
    let descriptor = try Descriptor.reading(path)
    let size = try descriptor.size()
    guard size <= maximumBytes else {
      throw FileError("read", path, .tooLarge(bytes: size, limit: maximumBytes))
    }
    return try Result { () throws(FileError) in
      var failure: FileError?
      let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        do throws(FileError) {
          try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
          count = size
        } catch {
          failure = error
        }
      }
      if let failure { throw failure }
      return bytes
    }.get()
  }

  /// Replaces or creates `path` in one step: the bytes go to a hidden file beside it, reach the
  /// disk, and take the name.
  public static func write(
    _ bytes: UnsafeRawBufferPointer, to path: String
  ) throws(FileError) {
    let file = try TemporaryFile(for: path)
    try file.descriptor.write(bytes, at: 0)
    try file.commit()
    try synchronizeFolder(ofPath: path)
  }

  /// Replaces or creates `path` in one step; see the overload for raw bytes.
  public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    try bytes.withUnsafeBytes { raw in
      Result { () throws(FileError) in try write(raw, to: path) }
    }.get()
  }

  /// Replaces or creates `path` in one step with `text` as UTF-8.
  public static func write(_ text: String, to path: String) throws(FileError) {
    try write(Array(text.utf8), to: path)
  }

  /// Copies a regular file byte for byte; `target` is replaced or created in one step.
  public static func copy(_ source: String, to target: String) throws(FileError) {
    let input = try Descriptor.reading(source)
    let size = try input.size()
    let output = try TemporaryFile(for: target)
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(max(size, 1), 4 << 20), alignment: 4096)
    defer { buffer.deallocate() }
    var offset = 0
    while offset < size {
      let chunk = UnsafeMutableRawBufferPointer(
        rebasing: buffer.prefix(min(buffer.count, size - offset)))
      try input.read(into: chunk, at: offset)
      try output.descriptor.write(UnsafeRawBufferPointer(chunk), at: offset)
      offset += chunk.count
    }
    try output.commit()
    try synchronizeFolder(ofPath: target)
  }

  /// Makes a folder and its parents; one that is there is fine.
  public static func createFolder(_ path: String) throws(FileError) {
    if isFolder(path) { return }
    let parent = folderAndName(of: path).folder
    if parent != path { try createFolder(parent) }
    guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw FileError("create", path) }
  }

  /// Whether there is anything at `path`; a link counts by what it points to.
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether there is a folder at `path`, links followed.
  public static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The names in a folder, sorted, hidden ones included.
  public static func names(inFolder path: String) throws(FileError) -> [String] {
    guard let folder = opendir(path) else { throw FileError("list", path) }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Removes a file, or a folder with all it holds; links are removed, never followed.
  public static func remove(_ path: String) throws(FileError) {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw FileError("remove", path) }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      guard unlink(path) == 0 else { throw FileError("remove", path) }
      return
    }
    for name in try names(inFolder: path) { try remove("\(path)/\(name)") }
    guard rmdir(path) == 0 else { throw FileError("remove", path) }
  }

  /// Waits until the names in the folder that holds `path` are on the disk.
  static func synchronizeFolder(ofPath path: String) throws(FileError) {
    try synchronizeFolder(folderAndName(of: path).folder)
  }

  /// Waits until the names in `folder` are on the disk.
  static func synchronizeFolder(_ folder: String) throws(FileError) {
    let fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard fd >= 0 else { throw FileError("open", folder) }
    defer { close(fd) }
    // Some file systems cannot synchronise folders and say so with EINVAL.
    guard fsync(fd) == 0 || errno == EINVAL else { throw FileError("synchronize", folder) }
  }

  /// The folder and last component of `path`, trailing slashes ignored.
  static func folderAndName(of path: String) -> (folder: String, name: String) {
    var trimmed = Substring(path)
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
    guard let slash = trimmed.lastIndex(of: "/") else { return (".", String(trimmed)) }
    let folder = trimmed[..<slash]
    return (folder.isEmpty ? "/" : String(folder), String(trimmed[trimmed.index(after: slash)...]))
  }
}
