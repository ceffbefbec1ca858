import Glibc
import Synchronization

/// A hidden file beside its final name, which it takes on `commit`; removed when abandoned.
final class TemporaryFile: Sendable {
  let descriptor: Descriptor
  let finalPath: String
  private let committed = Atomic(false)

  init(for finalPath: String) throws(FileError) {
    let (folder, name) = Files.folderAndName(of: finalPath)
    let tag = String(UInt32.random(in: 0 ... .max), radix: 16)
    self.finalPath = finalPath
    descriptor = try .creating("\(folder)/.\(name).partial-\(getpid())-\(tag)")
  }

  deinit {
    if !committed.load(ordering: .relaxed) { unlink(descriptor.path) }
  }

  /// Brings the bytes to the disk and gives the file its name.
  func commit() throws(FileError) {
    try descriptor.synchronize()
    try publish()
  }

  /// Gives the file its name.
  func publish() throws(FileError) {
    guard rename(descriptor.path, finalPath) == 0 else { throw FileError("rename", finalPath) }
    committed.store(true, ordering: .relaxed)
  }
}
