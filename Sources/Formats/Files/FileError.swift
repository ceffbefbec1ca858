import Glibc

/// Why a file or folder could not be used.
public struct FileError: Error, Equatable, Sendable {
  /// What went wrong.
  public enum Reason: Equatable, Sendable {
    /// The system refused, with this `errno`.
    case system(Int32)
    /// The file is larger than its use allows.
    case tooLarge(bytes: Int, limit: Int)
    /// The file ended before `expected` bytes could be read.
    case endOfFile(expected: Int)
    /// Something is already there.
    case exists
    /// The path names no regular file.
    case notAFile
    /// The path names no folder.
    case notAFolder
    /// Replacing this folder would remove more than an earlier output.
    case unsafeReplacement
    /// Replacing this folder would remove this input.
    case holdsInput(String)
    /// Another process works in it.
    case inUse
    /// The output folder was already put in place.
    case alreadyCommitted
  }

  /// The file or folder.
  public let path: String
  /// What was attempted: `open`, `read`, `write`, ….
  public let operation: String
  /// What went wrong.
  public let reason: Reason

  init(_ operation: String, _ path: String, _ reason: Reason) {
    self.path = path
    self.operation = operation
    self.reason = reason
  }

  /// An error from the `errno` that the last call left.
  init(_ operation: String, _ path: String) {
    self.init(operation, path, .system(errno))
  }

  /// The same error about `path`, for files written under another name than they will have.
  func named(_ path: String) -> FileError { FileError(operation, path, reason) }
}

extension FileError: CustomStringConvertible {
  public var description: String { "cannot \(operation) \(path): \(reason)" }
}

extension FileError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .system(let code): "\(String(cString: strerror(code)))\(Self.advice(for: code))"
    case .tooLarge(let bytes, let limit):
      "\(bytes) bytes are more than the limit of \(limit); check that this is the right file"
    case .endOfFile(let expected):
      "the file ends before byte \(expected); it was cut short or changed, fetch it again"
    case .exists: "it already exists; choose another name, or replace it with --force"
    case .notAFile: "not a regular file; give the path of a file"
    case .notAFolder: "not a folder; give the path of a folder"
    case .unsafeReplacement:
      "replacing it would remove the working folder, a home folder or the root; choose another name"
    case .holdsInput(let input):
      "replacing it would remove \(input), which it is made from; choose another name"
    case .inUse: "another herd is working on it; wait for it to end or give another folder"
    case .alreadyCommitted: "the output folder is already in place; start a new one"
    }
  }

  private static func advice(for code: Int32) -> String {
    switch code {
    case ENOENT: "; check the path"
    case EACCES, EPERM: "; check the permissions"
    case ENOSPC, EDQUOT: "; free space on this disk or write to another"
    case EFBIG: "; the file system holds no file this large, write to another or use smaller shards"
    case EROFS: "; write to another disk"
    case EMFILE, ENFILE: "; raise the limit of open files (ulimit -n)"
    case EISDIR: "; give the path of a file"
    case ENOTDIR: "; a folder was expected"
    case EXDEV: "; keep source and target on one disk"
    default: ""
    }
  }
}
