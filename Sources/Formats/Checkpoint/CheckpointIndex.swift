/// The index of a sharded checkpoint, `model.safetensors.index.json`.
public struct CheckpointIndex: Equatable, Sendable {
  /// The file name of the index in a checkpoint folder.
  public static let fileName = "model.safetensors.index.json"

  /// Every tensor with the name of its shard, in the order of the file.
  public let entries: [(tensor: String, shard: String)]
  /// `metadata.total_size`: the bytes of all tensors, when declared.
  public let totalSize: Int?

  /// The shard names, each once, in the order of first mention.
  public var shards: [String] {
    var seen = NameIndex()
    var shards: [String] = []
    for entry in entries
    where seen.insert(entry.shard, at: shards.count, names: { shards[$0] }) == nil {
      shards.append(entry.shard)
    }
    return shards
  }

  /// An index of these tensors.
  public init(entries: [(tensor: String, shard: String)], totalSize: Int?) {
    self.entries = entries
    self.totalSize = totalSize
  }

  /// Reads and checks an index.
  ///
  /// - Parameters:
  ///   - bytes: The file's content.
  ///   - path: The path to name in errors.
  public init(bytes: [UInt8], path: String) throws(CheckpointError) {
    func malformed(_ detail: String) -> CheckpointError {
      CheckpointError(path, .malformedIndex(detail: detail))
    }
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes)
    } catch {
      throw malformed("\(error)")
    }
    guard let root = json.object else {
      throw malformed("found \(json.kindDescription); make it an object with weight_map")
    }
    guard let map = root["weight_map"]?.object, !map.isEmpty else {
      throw malformed("no weight_map with tensors; add it as an object from tensor to shard")
    }
    var entries: [(tensor: String, shard: String)] = []
    entries.reserveCapacity(map.count)
    for (tensor, value) in map {
      guard let shard = value.string else {
        throw malformed(
          "weight_map \(quoted(tensor)) is \(value.kindDescription); make it a shard's file name")
      }
      try Self.check(shard: shard, path)
      entries.append((tensor, shard))
    }
    self.entries = entries
    totalSize = try Self.totalSize(root["metadata"]).mapError { malformed($0.text) }.get()
  }

  /// The JSON as Hugging Face writes it: indented by two, sorted keys, newline at the end.
  public func serialized() -> String {
    var map = JSONObject()
    for entry in entries { map[entry.tensor] = .string(entry.shard) }
    var root: JSONObject = ["weight_map": .object(map)]
    root["metadata"] = totalSize.map { ["total_size": JSON($0)] } ?? [:]
    return JSON.object(root).serialized(indent: 2, sortedKeys: true) + "\n"
  }

  public static func == (left: CheckpointIndex, right: CheckpointIndex) -> Bool {
    left.totalSize == right.totalSize && left.entries.count == right.entries.count
      && zip(left.entries, right.entries).allSatisfy {
        haveSameBytes($0.tensor, $1.tensor) && haveSameBytes($0.shard, $1.shard)
      }
  }

  private static func check(shard: String, _ path: String) throws(CheckpointError) {
    let components = shard.utf8.split(
      separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let isSafe = components.allSatisfy { component in
      !component.isEmpty && !component.elementsEqual(".".utf8)
        && !component.elementsEqual("..".utf8)
        && !component.contains(0) && !component.contains(UInt8(ascii: "\\"))
    }
    guard isSafe else { throw CheckpointError(path, .unsafeShardName(shard)) }
    if isPickle(shard) { throw CheckpointError(path, .pickledWeights(file: shard)) }
    guard shard.hasSuffix(".safetensors") else {
      throw CheckpointError(
        path,
        .malformedIndex(
          detail: "shard \(quoted(shard)) is no .safetensors file; name safetensors files only"))
    }
  }

  private static func totalSize(_ metadata: JSON?) -> Result<Int?, IndexDetail> {
    guard let metadata, !metadata.isNull else { return .success(nil) }
    guard let object = metadata.object else {
      return .failure(IndexDetail("metadata is \(metadata.kindDescription); make it an object"))
    }
    guard let value = object["total_size"] else { return .success(nil) }
    // Some writers spell the size with a fraction of zero.
    if let size = value.int ?? value.double.flatMap({ Int(exactly: $0) }), size >= 0 {
      return .success(size)
    }
    return .failure(
      IndexDetail("metadata.total_size is \(value.kindDescription) out of range; write the bytes"))
  }
}

/// What is wrong inside an index, before its path is known.
private struct IndexDetail: Error {
  let text: String
  init(_ text: String) { self.text = text }
}

/// Whether a file name is that of a pickled checkpoint.
func isPickle(_ name: String) -> Bool {
  [".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"].contains { name.lowercased().hasSuffix($0) }
}
