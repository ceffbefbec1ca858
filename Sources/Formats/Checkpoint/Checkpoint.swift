/// The weights of a Hugging Face folder, in one safetensors file or in indexed shards.
///
/// Opening checks every header and the index against each other; no weights are read.
public final class Checkpoint: Sendable {
  /// The folder.
  public let folder: String
  /// The files, in the order of the index.
  public let shards: [SafetensorsFile]
  /// All tensors, shard by shard in the order of their bytes.
  public let tensors: [TensorDescription]
  /// The sum of the tensors' sizes in bytes.
  public let totalBytes: Int
  private let index: NameIndex
  /// For each of `tensors`, the position of its shard.
  private let shardOfTensor: [Int]

  /// Opens `model.safetensors` or the shards of `model.safetensors.index.json`.
  ///
  /// Shards may be links, as in the Hugging Face cache.
  public init(
    folder: String, access: SafetensorsFile.Access = .mapped
  ) throws(CheckpointError) {
    self.folder = folder
    let listed = try Self.listedIndex(folder)
    let names = listed?.shards ?? ["model.safetensors"]
    shards = try Self.open(names, in: folder, access)
    var tensors: [TensorDescription] = []
    var shardOfTensor: [Int] = []
    var index = NameIndex(minimumCapacity: shards.reduce(0) { $0 + $1.tensors.count })
    var totalBytes = 0
    for (shard, file) in shards.enumerated() {
      for tensor in file.tensors {
        let taken = index.insert(tensor.name, at: tensors.count) { tensors[$0].name }
        if let taken {
          throw CheckpointError(
            folder,
            .tensorInTwoShards(
              tensor: tensor.name, first: names[shardOfTensor[taken]], second: names[shard]))
        }
        tensors.append(tensor)
        shardOfTensor.append(shard)
        let (sum, overflow) = totalBytes.addingReportingOverflow(tensor.byteCount)
        guard !overflow else {
          throw CheckpointError(
            folder, .shard(SafetensorsError(file.path, .validationOverflow(tensor: tensor.name))))
        }
        totalBytes = sum
      }
    }
    self.tensors = tensors
    self.shardOfTensor = shardOfTensor
    self.totalBytes = totalBytes
    self.index = index
    if let listed { try check(listed, names) }
  }

  /// The tensor of that name, or `nil`; its `byteRange` counts within its own shard.
  public subscript(name: String) -> TensorDescription? {
    position(of: name).map { tensors[$0] }
  }

  /// The tensor of that name.
  ///
  /// - Throws: `CheckpointError` that suggests the nearest name when there is none.
  public func tensor(_ name: String) throws(CheckpointError) -> TensorDescription {
    tensors[try requiredPosition(of: name)]
  }

  /// The shard that has the tensor of that name.
  public func shard(of name: String) throws(CheckpointError) -> SafetensorsFile {
    shards[shardOfTensor[try requiredPosition(of: name)]]
  }

  /// Copies a tensor, or `bytes` of it, into a buffer of exactly that size.
  public func read(
    _ name: String, bytes: Range<Int>? = nil, into buffer: UnsafeMutableRawBufferPointer
  ) throws(CheckpointError) {
    let shard = try shard(of: name)
    do throws(SafetensorsError) {
      try shard.read(name, bytes: bytes, into: buffer)
    } catch {
      throw CheckpointError(folder, .shard(error))
    }
  }

  /// Calls `body` with the bytes of a tensor; see ``SafetensorsFile/withBytes(of:_:)``.
  public func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    try shard(of: name).withBytes(of: name, body)
  }

  private func position(of name: String) -> Int? { index.find(name) { tensors[$0].name } }

  private func requiredPosition(of name: String) throws(CheckpointError) -> Int {
    guard let position = position(of: name) else {
      let nearest = nearestName(to: name, in: tensors.lazy.map(\.name))
      throw CheckpointError(folder, .tensorNotFound(name: name, nearest: nearest))
    }
    return position
  }

  private func check(_ listed: CheckpointIndex, _ names: [String]) throws(CheckpointError) {
    let path = "\(folder)/\(CheckpointIndex.fileName)"
    var isListed = [Bool](repeating: false, count: tensors.count)
    for entry in listed.entries {
      guard let position = position(of: entry.tensor) else {
        throw CheckpointError(
          path, .tensorMissingFromShard(tensor: entry.tensor, shard: entry.shard))
      }
      let found = names[shardOfTensor[position]]
      guard haveSameBytes(found, entry.shard) else {
        throw CheckpointError(
          path,
          .tensorInOtherShard(tensor: entry.tensor, listed: entry.shard, found: found))
      }
      isListed[position] = true
    }
    if let position = isListed.firstIndex(of: false) {
      throw CheckpointError(
        path,
        .tensorMissingFromIndex(
          tensor: tensors[position].name, shard: names[shardOfTensor[position]]))
    }
    if let declared = listed.totalSize, declared != totalBytes {
      throw CheckpointError(path, .totalSizeMismatch(declared: declared, actual: totalBytes))
    }
  }

  private static func listedIndex(_ folder: String) throws(CheckpointError) -> CheckpointIndex? {
    guard Files.isFolder(folder) else { throw CheckpointError(folder, .notAFolder) }
    let path = "\(folder)/\(CheckpointIndex.fileName)"
    let hasSingle = Files.exists("\(folder)/model.safetensors")
    guard Files.exists(path) else {
      if hasSingle { return nil }
      throw try missingWeights(folder)
    }
    guard !hasSingle else { throw CheckpointError(folder, .ambiguous) }
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(path)
    } catch {
      throw CheckpointError(path, .file(error))
    }
    return try CheckpointIndex(bytes: bytes, path: path)
  }

  private static func missingWeights(_ folder: String) throws(CheckpointError) -> CheckpointError {
    do throws(FileError) {
      // A link to nothing is listed though it does not exist.
      let names = try Files.names(inFolder: folder)
      if names.contains("model.safetensors") {
        return CheckpointError(folder, .missingShard("model.safetensors"))
      }
      let pickled = names.first(where: isPickle)
      return CheckpointError(folder, pickled.map { .pickledWeights(file: $0) } ?? .noWeights)
    } catch {
      throw CheckpointError(folder, .file(error))
    }
  }

  private static func open(
    _ names: [String], in folder: String, _ access: SafetensorsFile.Access
  ) throws(CheckpointError) -> [SafetensorsFile] {
    var shards: [SafetensorsFile] = []
    for name in names {
      let path = "\(folder)/\(name)"
      guard Files.exists(path) else { throw CheckpointError(folder, .missingShard(name)) }
      do throws(SafetensorsError) {
        shards.append(try SafetensorsFile(path: path, access: access))
      } catch {
        throw CheckpointError(folder, .shard(error))
      }
    }
    return shards
  }
}
