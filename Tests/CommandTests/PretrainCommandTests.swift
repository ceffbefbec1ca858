import Formats
import Foundation
import TestSupport
import Testing

/// `pretrain`, on text it makes itself.
@Suite struct PretrainCommandTests {
  private let folder = TemporaryFolder()

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func write(_ initialize: String) -> String {
    folder.write(
      "new.yaml",
      """
      name: new
      synthesize: {records: 40, held_out: 10, vocabulary: 300}
      initialize: {\(initialize)}
      stages:
        - name: one
          data: [{file: "{run}/data/math.train.jsonl"}]
          tokens: 24576
          sequence_length: 64
          batch_sequences: 2
          learning_rate: 1e-3
          checkpoint_every: 6

      """)
  }

  private static let sizes =
    "architecture: hgrn2, hidden_size: 16, layers: 2, heads: 2, width: 24, max_positions: 64"

  @Test func aKilledRunEndsWithTheSameBits() throws {
    let pipeline = write(Self.sizes)
    let whole = try HerdRun("pretrain", pipeline, "--output", path("whole"), "--threads", "2")
    #expect(whole.status == 0, "\(whole.error)")

    let process = Process()
    process.executableURL = try HerdRun.program()
    process.arguments = [
      "pretrain", pipeline, "--output", path("killed"), "--threads", "2", "--quiet",
    ]
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let deadline = ContinuousClock.now + .seconds(120)
    let store = path("killed/one/checkpoint")
    func isSaved() -> Bool {
      let steps = try? Files.names(inFolder: store).filter { $0.hasPrefix("step-") }
      return steps?.contains { Files.exists("\(store)/\($0)/state.json") } ?? false
    }
    while process.isRunning, !isSaved(), ContinuousClock.now < deadline { usleep(500) }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    #expect(process.terminationReason == .uncaughtSignal, "it must not have ended before")

    let end = try HerdRun(
      "pretrain", pipeline, "--output", path("killed"), "--threads", "2", "--json")
    #expect(end.status == 0, "\(end.error)")
    #expect(try JSON.parse(Array(end.output.utf8))["steps"]?["stage:one"] != nil)
    let model = "one/model.safetensors"
    #expect(try Files.read(path("killed/\(model)")) == Files.read(path("whole/\(model)")))
  }

  @Test func badInputIsALine() throws {
    for (text, words) in [
      (Self.sizes + ", init: ones", "xmixers"),
      (Self.sizes.replacing("heads: 2", with: "heads: 3"), "\"heads\""),
      (Self.sizes.replacing("hgrn2", with: "hgrn3"), "hgrn2"),
    ] {
      let run = try HerdRun("pretrain", write(text), "--output", path("none"))
      #expect(run.status != 0 && run.errorLines.count == 1 && run.output.isEmpty, "\(run.error)")
      #expect(run.error.contains(words), "\(run.error)")
    }
    let dense = folder.write("dense.yaml", "model: x\nstages: []\n")
    let run = try HerdRun("pretrain", dense, "--output", path("none"))
    #expect(run.status == 1 && run.errorLines.count == 1 && run.error.contains("herd run"))
    #expect(!Files.exists(path("none")))
  }
}
