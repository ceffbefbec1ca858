import Formats
import Glibc
import TestSupport
import Testing

@Suite struct CheckpointTests {
  private func reason(_ folder: TemporaryFolder) -> CheckpointError.Reason? {
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(folder: folder.path) }
    #expect(error?.description.contains(folder.path) == true)
    #expect(error?.description.contains("\n") == false)
    return error?.reason
  }

  private func isMalformed(_ reason: CheckpointError.Reason?) -> Bool {
    if case .malformedIndex = reason { true } else { false }
  }

  @Test func readsASingleFile() throws {
    let folder = TemporaryFolder()
    folder.write("model.safetensors", twoTensors)
    let checkpoint = try Checkpoint(folder: folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["a", "b"])
    #expect(checkpoint.totalBytes == 32)
    #expect(try checkpoint.withBytes(of: "b") { Array($0) } == Array(24..<32))
  }

  @Test(arguments: [SafetensorsFile.Access.mapped, .pread])
  func readsAcrossShards(access: SafetensorsFile.Access) throws {
    let folder = shardedFolder()
    let checkpoint = try Checkpoint(folder: folder.path, access: access)
    #expect(checkpoint.shards.count == 2)
    #expect(checkpoint.totalBytes == 16)
    #expect(checkpoint["b"]?.byteRange == 0..<8)
    #expect(checkpoint["c"] == nil)
    var buffer = [UInt8](repeating: 0, count: 4)
    try buffer.withUnsafeMutableBytes { try checkpoint.read("b", bytes: 2..<6, into: $0) }
    #expect(buffer == [10, 11, 12, 13])
    let error = #expect(throws: CheckpointError.self) { try checkpoint.tensor("aa") }
    #expect(error?.reason == .tensorNotFound(name: "aa", nearest: "a"))
  }

  @Test func followsLinkedShards() throws {
    let source = shardedFolder()
    let cache = TemporaryFolder()
    cache.write("blobs/x", oneTensor("a", from: 0))
    cache.write("blobs/y", oneTensor("b", from: 8))
    cache.write("snapshots/1/model.safetensors.index.json", shardedIndex)
    let snapshot = "\(cache.path)/snapshots/1"
    symlink("../../blobs/x", "\(snapshot)/model-00001-of-00002.safetensors")
    symlink("../../blobs/y", "\(snapshot)/model-00002-of-00002.safetensors")
    #expect(try Checkpoint(folder: snapshot).tensors == Checkpoint(folder: source.path).tensors)
  }

  @Test func namesMissingShardsAndDanglingLinks() {
    let folder = shardedFolder()
    unlink("\(folder.path)/model-00002-of-00002.safetensors")
    #expect(reason(folder) == .missingShard("model-00002-of-00002.safetensors"))
    symlink("../../blobs/none", "\(folder.path)/model-00002-of-00002.safetensors")
    #expect(reason(folder) == .missingShard("model-00002-of-00002.safetensors"))
    let single = TemporaryFolder()
    symlink("../../blobs/none", "\(single.path)/model.safetensors")
    #expect(reason(single) == .missingShard("model.safetensors"))
  }

  @Test(arguments: [
    "../x.safetensors", "/etc/x.safetensors", "a/../../x.safetensors", "..", "",
    "./x.safetensors", "a//x.safetensors", "a\\\\x.safetensors", "a\\u0000.safetensors",
  ])
  func refusesShardsOutsideTheFolder(name: String) {
    let folder = shardedFolder { $0.replacing("model-00002-of-00002.safetensors", with: name) }
    if case .unsafeShardName = reason(folder) {} else { Issue.record("accepted \(name)") }
  }

  @Test(arguments: ["pytorch_model.bin", "consolidated.00.pth", "model.pt", "model.PKL"])
  func refusesPickles(name: String) {
    let folder = TemporaryFolder()
    folder.write(name, "")
    #expect(reason(folder) == .pickledWeights(file: name))
    let indexed = shardedFolder { $0.replacing("model-00002-of-00002.safetensors", with: name) }
    #expect(reason(indexed) == .pickledWeights(file: name))
  }

  @Test func refusesAFolderWithoutWeights() {
    let folder = TemporaryFolder()
    #expect(reason(folder) == .noWeights)
    folder.write("model.safetensors", twoTensors)
    folder.write("model.safetensors.index.json", shardedIndex)
    #expect(reason(folder) == .ambiguous)
    let error = #expect(throws: CheckpointError.self) {
      try Checkpoint(folder: "\(folder.path)/model.safetensors")
    }
    #expect(error?.reason == .notAFolder)
  }

  @Test func refusesATensorInTwoShards() {
    let folder = shardedFolder()
    let header =
      "{" + entry("a", "U8", "[8]", "[0,8]") + "," + entry("b", "U8", "[8]", "[8,16]") + "}"
    folder.write("model-00002-of-00002.safetensors", safetensors(header, data: 16))
    #expect(
      reason(folder)
        == .tensorInTwoShards(
          tensor: "a", first: "model-00001-of-00002.safetensors",
          second: "model-00002-of-00002.safetensors"))
  }

  @Test func refusesAnIndexThatDisagreesWithItsShards() {
    let second = "model-00002-of-00002.safetensors"
    let added = shardedFolder { $0.replacing("\"b\":", with: "\"c\": \"\(second)\", \"b\":") }
    #expect(reason(added) == .tensorMissingFromShard(tensor: "c", shard: second))
    let unlisted = shardedFolder()
    let header =
      "{" + entry("b", "U8", "[8]", "[0,8]") + "," + entry("c", "U8", "[8]", "[8,16]") + "}"
    unlisted.write(second, safetensors(header, data: 16))
    #expect(reason(unlisted) == .tensorMissingFromIndex(tensor: "c", shard: second))
    let swapped = shardedFolder {
      $0.replacing("00001-of", with: "X").replacing("00002-of", with: "00001-of")
        .replacing("X", with: "00002-of")
    }
    #expect(
      reason(swapped)
        == .tensorInOtherShard(
          tensor: "a", listed: second, found: "model-00001-of-00002.safetensors"))
  }

  @Test func checksTheTotalSize() throws {
    let wrong = shardedFolder { $0.replacing("16", with: "17") }
    #expect(reason(wrong) == .totalSizeMismatch(declared: 17, actual: 16))
    for spelling in ["16.0", "1.6e1"] {
      let folder = shardedFolder { $0.replacing("16", with: spelling) }
      #expect(try Checkpoint(folder: folder.path).totalBytes == 16)
    }
    for spelling in ["-16", "\"16\"", "1e400", "16.5", "9223372036854775808"] {
      #expect(isMalformed(reason(shardedFolder { $0.replacing("16", with: spelling) })))
    }
    let undeclared = shardedFolder { $0.replacing("\"total_size\": 16", with: "") }
    #expect(try Checkpoint(folder: undeclared.path).totalBytes == 16)
  }

  @Test(arguments: [
    "", "[]", "{}", "{\"weight_map\":{}}", "{\"weight_map\":[]}", "{\"weight_map\":{\"a\":1}}",
    "{\"weight_map\":{\"a\":\"x.txt\"}}", "{\"weight_map\":{\"a\":\"x\",\"a\":\"x\"}}",
    "{\"metadata\":[],\"weight_map\":{\"a\":\"m.safetensors\"}}",
    "{\"weight_map\":{\"a\":\"m.safetensors\"}", "\u{feff}{}",
  ])
  func refusesMalformedIndices(text: String) {
    #expect(isMalformed(reason(shardedFolder { _ in text })))
  }

  @Test func namesTheShardAtFault() {
    let folder = shardedFolder()
    let path = folder.write("model-00002-of-00002.safetensors", "garbage")
    guard case .shard(let error) = reason(folder) else {
      Issue.record("no shard error")
      return
    }
    #expect(error.file == path)
  }

  @Test func indexRoundTrips() throws {
    let index = try CheckpointIndex(bytes: Array(shardedIndex.utf8), path: "x")
    #expect(index.serialized() == shardedIndex)
    #expect(
      index.shards == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
  }
}
