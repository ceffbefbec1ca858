import Formats
import Foundation
import TestSupport
import Testing

/// Released LLaMA-MoE checkpoints through the commands.
@Suite struct ReleasedCheckpointTests {
  private func json(_ run: HerdRun) throws -> JSON {
    #expect(run.status == 0, "\(run.error)")
    return try JSON.parse(Array(run.output.utf8))
  }

  @Test(arguments: [true, false])
  func theyAreInspectedEvaluatedContinuedAndTrained(_ isFirstVersion: Bool) throws {
    let released = try ReleasedCheckpoint(isFirstVersion: isFirstVersion)
    let name = isFirstVersion ? "LLaMA-MoE v1 (llama_moe)" : "LLaMA-MoE v2 (mixtral)"
    let found = try json(HerdRun("inspect", released.path, "--json"))
    #expect(found["format"]?.string == name)
    #expect(found["ignored_tensors"]?.array?.count == (isFirstVersion ? 2 : 0))
    #expect(try HerdRun("inspect", released.path).output.contains(name))

    let data = released.data()
    func loss(_ folder: String) throws -> Double {
      let result = try json(
        HerdRun("evaluate", folder, "--data", data, "--window", "32", "--json", "--quiet"))
      return try #require(result["mean"]?.double)
    }
    let before = try loss(released.path)
    let reply = try json(
      HerdRun("generate", released.path, "--chat", "hi", "--max-tokens", "4", "--json"))
    #expect((reply["tokens"]?.array?.count ?? 9) <= 4)

    let pipeline = released.folder.write(
      "toy.yaml",
      """
      name: toy
      model: \(released.path)
      stages:
        - name: more
          data: [{file: \(data)}]
          tokens: 2048
          sequence_length: 32
          batch_sequences: 2
          learning_rate: 5e-3
          losses: {cross_entropy: 1, load_balance: 0.01, selection_bias_rate: 0.001}
      """)
    let output = "\(released.path)/run"
    let run = try HerdRun("train", pipeline, "--output", output, "--threads", "1", "--quiet")
    #expect(run.status == 0, "\(run.error)")
    let trained = try json(HerdRun("inspect", "\(output)/more", "--json"))
    #expect(trained["model_type"]?.string == "herd")
    #expect(trained["ignored_tensors"]?.array?.isEmpty == true)
    // One balancing bias per expert is new: 4 experts a layer, or 3 and 2 of attention.
    let active = try #require(found["parameters"]?["active"]?.int)
    #expect(trained["parameters"]?["active"]?.int == active + 2 * (isFirstVersion ? 4 : 5))
    #expect(try loss("\(output)/more") < before - 0.05)
  }

  @Test func pickledWeightsAreRefusedWithTheWayOut() throws {
    let released = try ReleasedCheckpoint(isFirstVersion: true)
    for name in released.folder.names where name.hasPrefix("model") {
      try Files.remove("\(released.path)/\(name)")
    }
    _ = released.folder.write("pytorch_model.bin", "PK")
    let run = try HerdRun("inspect", released.path)
    #expect(run.status == 1 && run.errorLines.count == 1)
    #expect(run.error.contains("pytorch_model.bin") && run.error.contains("save_pretrained"))
  }
}
