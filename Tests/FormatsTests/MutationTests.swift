import Formats
import TestSupport
import Testing

/// Seeded damage to every kind of file: each gives an error or a result that holds its promises.
@Suite struct MutationTests {
  private static let safetensorsSeeds: [[UInt8]] = [
    twoTensors, safetensors("{}"), safetensors(smallTypes, data: 11),
  ]

  private static let smallTypes: String = [
    "{", entry("q", "F4", "[3,2]", "[0,3]"), ",", entry("s", "C64", "[]", "[3,11]"), ",",
    entry("z", "I64", "[0,7]", "[11,11]"), "}  ",
  ].joined()

  @Test(arguments: 0..<4)
  func damagedSafetensors(batch: UInt64) throws {
    let folder = TemporaryFolder()
    var accepted = 0
    for seed in 0..<1250 {
      var mutator = Mutator(seed: batch * 10_000 + UInt64(seed))
      let damaged = mutator.mutate(Self.safetensorsSeeds[seed % Self.safetensorsSeeds.count])
      let path = folder.write("x.safetensors", damaged)
      let access: SafetensorsFile.Access = seed % 2 == 0 ? .mapped : .pread
      guard let file = try? SafetensorsFile(path: path, access: access) else { continue }
      accepted += 1
      var end = 0
      for tensor in file.tensors {
        #expect(tensor.byteRange.lowerBound == end)
        #expect(tensor.elementCount * tensor.elementType.bitWidth == tensor.byteCount * 8)
        end = tensor.byteRange.upperBound
        #expect(try bytes(of: tensor.name, in: file).count == tensor.byteCount)
      }
      #expect(file.header.dataOffset + end == damaged.count)
    }
    // Damage to weights and spare spaces goes unnoticed; more than that should not.
    #expect(accepted > 0)
    #expect(accepted < 900)
  }

  @Test(arguments: 0..<2)
  func damagedIndex(batch: UInt64) throws {
    let folder = shardedFolder()
    var accepted = 0
    for seed in 0..<1500 {
      var mutator = Mutator(seed: 100_000 + batch * 10_000 + UInt64(seed))
      folder.write("model.safetensors.index.json", mutator.mutate(Array(shardedIndex.utf8)))
      guard let checkpoint = try? Checkpoint(folder: folder.path) else { continue }
      accepted += 1
      #expect(checkpoint.tensors.map(\.name).sorted() == ["a", "b"])
      #expect(checkpoint.totalBytes == 16)
    }
    #expect(accepted > 0)
  }

  @Test(arguments: 0..<2)
  func damagedConfiguration(batch: UInt64) throws {
    let text = """
      {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 512, "rms_norm_eps": 1e-05, "name": "caf\\u00e9 \\ud83d\\ude00",
        "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
        "eos_token_id": [1, 2], "pad_token_id": null, "tie_word_embeddings": true
      }
      """
    var accepted = 0
    for seed in 0..<1500 {
      var mutator = Mutator(seed: 200_000 + batch * 10_000 + UInt64(seed))
      let damaged = mutator.mutate(Array(text.utf8))
      guard let file = try? ConfigurationFile(path: "x", bytes: damaged) else { continue }
      accepted += 1
      let again = try ConfigurationFile(path: "x", bytes: Array(file.serialized().utf8))
      #expect(again.object == file.object)
      _ = try? file.integer("hidden_size")
      _ = try? file.section("rope_parameters").double("rope_theta")
      _ = try? file.tokenIDs("eos_token_id")
    }
    #expect(accepted > 0)
  }
}
