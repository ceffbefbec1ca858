import Formats
import TestSupport
import Testing

@Suite struct CheckpointWriterTests {
  private let tensors = [
    TensorDeclaration(name: "a", elementType: .bf16, shape: [4, 8]),
    TensorDeclaration(name: "b", elementType: .f32, shape: [16]),
    TensorDeclaration(name: "z", elementType: .f32, shape: [0, 4]),
    TensorDeclaration(name: "c", elementType: .u8, shape: []),
  ]

  private func write(
    _ writer: CheckpointWriter, _ name: String, at offset: Int = 0, _ bytes: [UInt8]
  ) throws {
    try bytes.withUnsafeBytes { try writer.write(name, at: offset, $0) }
  }

  @Test func writesASingleFile() throws {
    let folder = TemporaryFolder()
    let writer = try CheckpointWriter(folder: folder.path, tensors: tensors)
    #expect(writer.totalBytes == 129)
    try write(writer, "c", [7])
    try write(writer, "b", at: 32, Array(32..<64))
    try write(writer, "b", at: 0, Array(0..<32))
    try write(writer, "a", Array(64..<128))
    #expect(folder.names.allSatisfy { $0.hasPrefix(".") })
    try writer.finish()
    #expect(folder.names == ["model.safetensors"])
    let checkpoint = try Checkpoint(folder: folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["b", "z", "a", "c"])
    #expect(checkpoint.shards[0].metadata == ["format": "pt"])
    #expect(checkpoint.shards[0].header.dataOffset % 8 == 0)
    #expect(try checkpoint.withBytes(of: "b") { Array($0) } == Array(0..<64))
    #expect(try checkpoint.withBytes(of: "a") { Array($0) } == Array(64..<128))
    #expect(throws: CheckpointWriteError.self) { try writer.finish() }
    #expect(throws: CheckpointWriteError.self) { try write(writer, "c", [7]) }
  }

  @Test func writesShardsInTheOrderDeclared() throws {
    let folder = TemporaryFolder()
    let writer = try CheckpointWriter(folder: folder.path, tensors: tensors, shardLimit: 64)
    #expect(writer.fileNames.count == 3)
    try write(writer, "a", Array(repeating: 1, count: 64))
    try write(writer, "b", Array(repeating: 2, count: 64))
    try write(writer, "c", [3])
    try writer.finish()
    let index = try Files.read("\(folder.path)/model.safetensors.index.json")
    let expected = """
      {
        "metadata": {
          "total_size": 129
        },
        "weight_map": {
          "a": "model-00001-of-00003.safetensors",
          "b": "model-00002-of-00003.safetensors",
          "c": "model-00003-of-00003.safetensors",
          "z": "model-00002-of-00003.safetensors"
        }
      }

      """
    #expect(String(decoding: index, as: UTF8.self) == expected)
    let checkpoint = try Checkpoint(folder: folder.path)
    #expect(checkpoint.totalBytes == 129)
    #expect(try checkpoint.withBytes(of: "b") { Array($0) } == Array(repeating: 2, count: 64))
  }

  @Test func aTensorBeyondTheLimitHasAShardToItself() throws {
    let folder = TemporaryFolder()
    let declarations = ["x", "y", "w"].map {
      TensorDeclaration(name: $0, elementType: .u8, shape: [$0 == "y" ? 100 : 4])
    }
    let writer = try CheckpointWriter(folder: folder.path, tensors: declarations, shardLimit: 10)
    #expect(writer.fileNames.count == 3)
  }

  @Test func demandsEveryByteExactlyOnce() throws {
    let folder = TemporaryFolder()
    let writer = try CheckpointWriter(folder: folder.path, tensors: tensors)
    try write(writer, "c", [1])
    try write(writer, "b", Array(repeating: 0, count: 64))
    try write(writer, "a", at: 8, Array(repeating: 0, count: 16))
    let twice = #expect(throws: CheckpointWriteError.self) {
      try write(writer, "a", at: 20, Array(repeating: 0, count: 8))
    }
    #expect(twice?.reason == .writtenTwice(tensor: "a", bytes: 20..<24))
    let early = #expect(throws: CheckpointWriteError.self) { try writer.finish() }
    #expect(early?.reason == .incomplete(tensor: "a", missing: 0..<8))
    try write(writer, "a", Array(repeating: 0, count: 8))
    let late = #expect(throws: CheckpointWriteError.self) { try writer.finish() }
    #expect(late?.reason == .incomplete(tensor: "a", missing: 24..<64))
    let beyond = #expect(throws: CheckpointWriteError.self) {
      try write(writer, "a", at: 60, Array(repeating: 0, count: 8))
    }
    #expect(beyond?.reason == .bytesOutOfRange(tensor: "a", bytes: 60..<68, count: 64))
    #expect(throws: CheckpointWriteError.self) { try write(writer, "a", at: -1, [1]) }
    #expect(throws: CheckpointWriteError.self) { try write(writer, "a", at: .max, [1]) }
    let unknown = #expect(throws: CheckpointWriteError.self) { try write(writer, "aa", [1]) }
    #expect(unknown?.reason == .unknownTensor(name: "aa", nearest: "a"))
    try write(writer, "a", at: 24, Array(repeating: 0, count: 40))
    try writer.finish()
  }

  @Test func coverageAgreesWithAMap() throws {
    var random = SeededGenerator(seed: 5)
    for _ in 0..<60 {
      let folder = TemporaryFolder()
      let size = Int.random(in: 1...40, using: &random)
      let writer = try CheckpointWriter(
        folder: folder.path,
        tensors: [TensorDeclaration(name: "t", elementType: .u8, shape: [size])])
      var expected = [UInt8?](repeating: nil, count: size)
      for value in 0..<UInt8(60) {
        let start = Int.random(in: 0..<size, using: &random)
        let end = Int.random(in: start...min(size, start + 6), using: &random)
        if expected[start..<end].contains(where: { $0 != nil }) {
          #expect(throws: CheckpointWriteError.self) {
            try write(writer, "t", at: start, Array(repeating: value, count: end - start))
          }
        } else {
          try write(writer, "t", at: start, Array(repeating: value, count: end - start))
          for index in start..<end { expected[index] = value }
        }
      }
      if let gap = expected.firstIndex(of: nil) {
        let error = #expect(throws: CheckpointWriteError.self) { try writer.finish() }
        guard case .incomplete(_, let missing) = error?.reason else {
          Issue.record("no gap found")
          continue
        }
        #expect(missing.lowerBound == gap)
        #expect(missing.upperBound == expected[gap...].firstIndex { $0 != nil } ?? size)
      } else {
        try writer.finish()
        let checkpoint = try Checkpoint(folder: folder.path)
        #expect(try checkpoint.withBytes(of: "t") { Array($0) } == expected.compactMap { $0 })
      }
    }
  }

  @Test func refusesBadDeclarations() {
    let folder = TemporaryFolder()
    func refused(_ tensors: [TensorDeclaration], limit: Int = 100) -> Bool {
      (try? CheckpointWriter(folder: folder.path, tensors: tensors, shardLimit: limit)) == nil
    }
    let a = TensorDeclaration(name: "a", elementType: .f32, shape: [1])
    #expect(refused([a, a]))
    #expect(refused([TensorDeclaration(name: "__metadata__", elementType: .f32, shape: [1])]))
    #expect(refused([TensorDeclaration(name: "a", elementType: .f32, shape: [-1])]))
    #expect(refused([TensorDeclaration(name: "a", elementType: .f32, shape: [.max, 2])]))
    #expect(refused([TensorDeclaration(name: "a", elementType: .f4, shape: [3])]))
    #expect(refused([a], limit: 0))
    #expect(folder.names.isEmpty)
  }

  @Test func refusesAFolderWithWeights() throws {
    for name in ["model.safetensors", "model.safetensors.index.json", "model-1.safetensors"] {
      let folder = TemporaryFolder()
      folder.write(name, "")
      #expect(throws: CheckpointWriteError.self) {
        try CheckpointWriter(folder: folder.path, tensors: tensors)
      }
      #expect(folder.names == [name])
    }
    #expect(throws: CheckpointWriteError.self) {
      try CheckpointWriter(folder: "/nonexistent", tensors: tensors)
    }
  }

  @Test func noticesAFullDiskBeforeWriting() throws {
    let folder = TemporaryFolder()
    let huge = [
      tensors[0], TensorDeclaration(name: "huge", elementType: .u8, shape: [1 << 59]),
    ]
    let error = #expect(throws: CheckpointWriteError.self) {
      try CheckpointWriter(folder: folder.path, tensors: huge, shardLimit: 1000)
    }
    guard case .file(let cause) = error?.reason else {
      Issue.record("no file error")
      return
    }
    #expect(cause.path == "\(folder.path)/model-00002-of-00002.safetensors")
    #expect(folder.names.isEmpty)
  }

  @Test func anAbandonedWriterLeavesNothing() throws {
    let folder = TemporaryFolder()
    do {
      let writer = try CheckpointWriter(folder: folder.path, tensors: tensors, shardLimit: 64)
      try write(writer, "c", [7])
      #expect(folder.names.count == 3)
    }
    #expect(folder.names.isEmpty)
  }

  @Test func randomCheckpointsRoundTrip() throws {
    var random = SeededGenerator(seed: 17)
    for _ in 0..<40 {
      let folder = TemporaryFolder()
      var contents: [String: [UInt8]] = [:]
      var declarations: [TensorDeclaration] = []
      for index in 0..<Int.random(in: 0...12, using: &random) {
        let type = ElementType.allCases.randomElement(using: &random) ?? .f32
        var shape = (0..<Int.random(in: 0...3, using: &random)).map { _ in
          Int.random(in: 0...5, using: &random)
        }
        if type.bitWidth < 8 { shape.append(4) }
        let name = "t\(index)"
        declarations.append(TensorDeclaration(name: name, elementType: type, shape: shape))
        contents[name] = (0..<shape.reduce(1, *) * type.bitWidth / 8).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
      }
      let limit = Int.random(in: 1...500, using: &random)
      let writer = try CheckpointWriter(
        folder: folder.path, tensors: declarations, shardLimit: limit, metadata: ["a": "é\"\n"])
      for (name, bytes) in contents { try write(writer, name, bytes) }
      try writer.finish()
      let checkpoint = try Checkpoint(folder: folder.path)
      #expect(checkpoint.tensors.count == contents.count)
      for tensor in checkpoint.tensors {
        #expect(try checkpoint.withBytes(of: tensor.name) { Array($0) } == contents[tensor.name])
      }
      for shard in checkpoint.shards {
        #expect(shard.metadata == ["a": "é\"\n"])
        #expect(
          shard.header.dataCount <= limit || shard.tensors.filter { $0.byteCount > 0 }.count == 1)
      }
    }
  }
}
