/// Why a folder is not a readable checkpoint.
public struct CheckpointError: Error, Equatable, Sendable {
  /// What is wrong.
  public enum Reason: Equatable, Sendable {
    /// There is no such folder.
    case notAFolder
    /// The folder has no weights in safetensors files.
    case noWeights
    /// The only weights are pickled, which can run any code when loaded.
    case pickledWeights(file: String)
    /// The folder has a single weights file and an index.
    case ambiguous
    /// The index is not the JSON it should be; `detail` says what to correct.
    case malformedIndex(detail: String)
    /// The index names a shard outside the folder.
    case unsafeShardName(String)
    /// A shard named in the index is not there.
    case missingShard(String)
    /// A shard is not a valid file.
    case shard(SafetensorsError)
    /// Two shards have a tensor of the same name.
    case tensorInTwoShards(tensor: String, first: String, second: String)
    /// The index lists a tensor that its shard does not have.
    case tensorMissingFromShard(tensor: String, shard: String)
    /// A shard has a tensor that the index does not list.
    case tensorMissingFromIndex(tensor: String, shard: String)
    /// A tensor is in another shard than the index says.
    case tensorInOtherShard(tensor: String, listed: String, found: String)
    /// The index declares another total size than the shards have.
    case totalSizeMismatch(declared: Int, actual: Int)
    /// The checkpoint has no such tensor.
    case tensorNotFound(name: String, nearest: String?)
    /// A file could not be read.
    case file(FileError)
  }

  /// The folder, or the index file where that is at fault.
  public let path: String
  /// What is wrong.
  public let reason: Reason

  init(_ path: String, _ reason: Reason) {
    self.path = path
    self.reason = reason
  }
}

extension CheckpointError: CustomStringConvertible {
  public var description: String {
    switch reason {
    case .shard(let error): "\(error)"
    case .file(let error): "\(error)"
    default: "\(path): \(reason)"
    }
  }
}

extension CheckpointError.Reason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notAFolder: "not a folder; give the folder that holds config.json and the weights"
    case .noWeights:
      "no model.safetensors and no model.safetensors.index.json; download the safetensors weights"
    case .pickledWeights(let file):
      "\(quoted(file)) is pickled and may run code when loaded, so it is never read; "
        + "download the safetensors files or convert it where you trust it, in transformers by "
        + "from_pretrained(FOLDER).save_pretrained(OUT)"
    case .ambiguous:
      "both model.safetensors and model.safetensors.index.json; remove the one that is stale"
    case .malformedIndex(let detail): "malformed index: \(detail)"
    case .unsafeShardName(let name):
      "shard \(quoted(name)) lies outside the folder; name files of the folder only"
    case .missingShard(let name): "shard \(quoted(name)) is missing; download it"
    case .shard(let error): "\(error)"
    case .tensorInTwoShards(let tensor, let first, let second):
      "tensor \(quoted(tensor)) is in \(quoted(first)) and in \(quoted(second)); "
        + "save the checkpoint again"
    case .tensorMissingFromShard(let tensor, let shard):
      "the index lists tensor \(quoted(tensor)) in \(quoted(shard)), which has it not; "
        + "download index and shards of one revision"
    case .tensorMissingFromIndex(let tensor, let shard):
      "tensor \(quoted(tensor)) of \(quoted(shard)) is not in the index; "
        + "download index and shards of one revision"
    case .tensorInOtherShard(let tensor, let listed, let found):
      "the index lists tensor \(quoted(tensor)) in \(quoted(listed)) but it is in "
        + "\(quoted(found)); download index and shards of one revision"
    case .totalSizeMismatch(let declared, let actual):
      "the index declares \(declared) bytes of tensors but the shards have \(actual); "
        + "correct metadata.total_size or download the shards again"
    case .tensorNotFound(let name, let nearest):
      "no tensor \(quoted(name)); "
        + (nearest.map { "did you mean \(quoted($0))?" } ?? "list the tensors to see the names")
    case .file(let error): "\(error)"
    }
  }
}
