/// Why a checkpoint could not be written.
public struct CheckpointWriteError: Error, Equatable, Sendable {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    /// The shard limit is not positive.
    case invalidShardLimit(Int)
    /// A declared tensor has no valid layout.
    case layout(SafetensorsError)
    /// No such tensor was declared.
    case unknownTensor(name: String, nearest: String?)
    /// Bytes beyond the declared size were written.
    case bytesOutOfRange(tensor: String, bytes: Range<Int>, count: Int)
    /// Bytes were written a second time.
    case writtenTwice(tensor: String, bytes: Range<Int>)
    /// Bytes were never written.
    case incomplete(tensor: String, missing: Range<Int>)
    /// The checkpoint was already finished, or an earlier write failed.
    case closed
    /// A file could not be written.
    case file(FileError)
  }

  /// The folder.
  public let folder: String
  /// What is wrong.
  public let reason: Reason

  init(_ folder: String, _ reason: Reason) {
    self.folder = folder
    self.reason = reason
  }
}

extension CheckpointWriteError: CustomStringConvertible {
  public var description: String {
    if case .file(let error) = reason { return error.description }
    return "\(folder): \(reason)"
  }
}

extension CheckpointWriteError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidShardLimit(let limit): "a shard limit of \(limit) bytes; give a positive size"
    case .layout(let error): "\(error)"
    case .unknownTensor(let name, let nearest):
      "tensor \(quoted(name)) was not declared; "
        + (nearest.map { "did you mean \(quoted($0))?" } ?? "declare it when creating the writer")
    case .bytesOutOfRange(let tensor, let bytes, let count):
      "bytes \(bytes) of tensor \(quoted(tensor)), which has \(count); write within its size"
    case .writtenTwice(let tensor, let bytes):
      "bytes \(bytes) of tensor \(quoted(tensor)) written twice; write each byte once"
    case .incomplete(let tensor, let missing):
      "bytes \(missing) of tensor \(quoted(tensor)) never written; write all before finishing"
    case .closed: "the writer is finished or failed before; start a new one"
    case .file(let error): "\(error)"
    }
  }
}
