import Synchronization

/// Writes the weights of a Hugging Face folder piece by piece, in any order, from any thread.
///
/// All tensors are declared first, so every byte has its place from the start and goes straight to
/// the disk: no tensor is ever held in memory. Files appear under their names on ``finish()``; when
/// the last reference goes without it, everything written is removed.
public final class CheckpointWriter: Sendable {
  /// The folder.
  public let folder: String
  /// The names of the files to appear, the index left out.
  public let fileNames: [String]
  /// The sum of the declared tensors' sizes in bytes.
  public let totalBytes: Int
  private let plan: ShardPlan
  private let files: [TemporaryFile]
  private let places: [Place]
  private let index: NameIndex
  private let progress: Mutex<Progress>

  /// The default limit on a shard: 5 GB.
  public static let defaultShardLimit = 5_000_000_000

  /// Lays out the files and reserves their space.
  ///
  /// - Parameters:
  ///   - folder: An existing folder without weights.
  ///   - tensors: All tensors. Shards are filled in this order; within a shard, later element types
  ///     come first and then names in order, as the reference implementation writes them.
  ///   - shardLimit: The most bytes of tensors in a file that has more than one tensor.
  ///   - metadata: The `__metadata__` of every file; Hugging Face readers want `format`.
  public init(
    folder: String, tensors: [TensorDeclaration], shardLimit: Int = defaultShardLimit,
    metadata: [String: String] = ["format": "pt"]
  ) throws(CheckpointWriteError) {
    self.folder = folder
    guard shardLimit > 0 else {
      throw CheckpointWriteError(folder, .invalidShardLimit(shardLimit))
    }
    do throws(SafetensorsError) {
      plan = try ShardPlan(tensors, limit: shardLimit, metadata: metadata)
    } catch {
      throw CheckpointWriteError(folder, .layout(error))
    }
    fileNames = plan.names
    totalBytes = plan.headers.reduce(0) { $0 + $1.dataCount }
    do throws(FileError) {
      let taken = try Files.names(inFolder: folder).first(where: Self.isWeights)
      if let taken { throw FileError("create", "\(folder)/\(taken)", .exists) }
      files = try Self.create(plan, in: folder)
    } catch {
      throw CheckpointWriteError(folder, .file(error))
    }
    var places: [Place] = []
    var index = NameIndex(minimumCapacity: tensors.count)
    for (shard, header) in plan.headers.enumerated() {
      for tensor in header.tensors {
        _ = index.insert(tensor.name, at: places.count) { places[$0].tensor.name }
        let offset = header.dataOffset + tensor.byteRange.lowerBound
        places.append(Place(tensor: tensor, shard: shard, offset: offset))
      }
    }
    self.places = places
    self.index = index
    progress = Mutex(Progress(coverage: Array(repeating: WriteCoverage(), count: places.count)))
  }

  /// Writes some or all bytes of a tensor.
  ///
  /// - Parameters:
  ///   - name: A declared tensor.
  ///   - byteOffset: Where the bytes go, from the start of the tensor.
  ///   - bytes: Elements in row-major little-endian order.
  public func write(
    _ name: String, at byteOffset: Int = 0, _ bytes: UnsafeRawBufferPointer
  ) throws(CheckpointWriteError) {
    guard let position = index.find(name, names: { places[$0].tensor.name }) else {
      let nearest = nearestName(to: name, in: places.lazy.map(\.tensor.name))
      throw CheckpointWriteError(folder, .unknownTensor(name: name, nearest: nearest))
    }
    let place = places[position]
    let count = place.tensor.byteCount
    guard byteOffset >= 0, byteOffset <= count, bytes.count <= count - byteOffset else {
      let end = byteOffset.addingReportingOverflow(bytes.count)
      throw CheckpointWriteError(
        folder,
        .bytesOutOfRange(
          tensor: name, bytes: byteOffset..<(end.overflow ? .max : end.partialValue), count: count))
    }
    let range = byteOffset..<byteOffset + bytes.count
    try progress.withLock { progress in
      Result { () throws(CheckpointWriteError) in
        guard !progress.isClosed else { throw CheckpointWriteError(folder, .closed) }
        if let twice = progress.coverage[position].insert(range) {
          throw CheckpointWriteError(folder, .writtenTwice(tensor: name, bytes: twice))
        }
      }
    }.get()
    do throws(FileError) {
      try files[place.shard].descriptor.write(bytes, at: place.offset + byteOffset)
    } catch {
      progress.withLock { $0.isClosed = true }
      throw CheckpointWriteError(folder, .file(error.named(finalPath(place.shard))))
    }
  }

  /// To be called once, after all writes have returned.
  ///
  /// Checks that every byte of every tensor was written, brings the files to the disk and gives
  /// them their names; writes the index last when there is more than one file.
  public func finish() throws(CheckpointWriteError) {
    try progress.withLock { progress in
      Result { () throws(CheckpointWriteError) in
        guard !progress.isClosed else { throw CheckpointWriteError(folder, .closed) }
        for (place, coverage) in zip(places, progress.coverage) {
          if let missing = coverage.firstGap(below: place.tensor.byteCount) {
            throw CheckpointWriteError(
              folder, .incomplete(tensor: place.tensor.name, missing: missing))
          }
        }
        progress.isClosed = true
      }
    }.get()
    do throws(FileError) {
      for file in files { try file.descriptor.synchronize() }
      for file in files { try file.publish() }
      if files.count > 1 {
        try Files.write(makeIndex().serialized(), to: "\(folder)/\(CheckpointIndex.fileName)")
      }
      try Files.synchronizeFolder(folder)
    } catch {
      // The folder had no weights before, so what has a final name by now is ours.
      for name in fileNames { try? Files.remove("\(folder)/\(name)") }
      throw CheckpointWriteError(folder, .file(error))
    }
  }

  private func makeIndex() -> CheckpointIndex {
    CheckpointIndex(
      entries: places.map { ($0.tensor.name, fileNames[$0.shard]) }, totalSize: totalBytes)
  }

  private func finalPath(_ shard: Int) -> String { "\(folder)/\(fileNames[shard])" }

  private static func create(
    _ plan: ShardPlan, in folder: String
  ) throws(FileError) -> [TemporaryFile] {
    var files: [TemporaryFile] = []
    for (name, header) in zip(plan.names, plan.headers) {
      let file = try TemporaryFile(for: "\(folder)/\(name)")
      files.append(file)
      let encoded = header.encoded()
      do throws(FileError) {
        let (size, overflow) = encoded.count.addingReportingOverflow(header.dataCount)
        try file.descriptor.reserve(overflow ? .max : size)
        try encoded.withUnsafeBytes { raw in
          Result { () throws(FileError) in try file.descriptor.write(raw, at: 0) }
        }.get()
      } catch {
        throw error.named("\(folder)/\(name)")
      }
    }
    return files
  }

  private static func isWeights(_ name: String) -> Bool {
    name == CheckpointIndex.fileName || (name.hasPrefix("model") && name.hasSuffix(".safetensors"))
  }
}

extension CheckpointWriter {
  /// Writes a whole tensor of zeros.
  public func writeZeros(_ tensor: TensorDeclaration) throws(CheckpointWriteError) {
    let count = tensor.shape.reduce(1, *) * tensor.elementType.bitWidth / 8
    try [UInt8](repeating: 0, count: count).withUnsafeBytes { raw in
      Result { () throws(CheckpointWriteError) in try write(tensor.name, raw) }
    }.get()
  }
}

/// Where a tensor lies.
private struct Place: Sendable {
  let tensor: TensorDescription
  let shard: Int
  /// The offset of its first byte in the file.
  let offset: Int
}

private struct Progress: Sendable {
  var coverage: [WriteCoverage]
  var isClosed = false
}
