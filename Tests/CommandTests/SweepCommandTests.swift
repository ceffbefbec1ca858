import Formats
import TestSupport
import Testing

/// `sweep` and `report`, on a checkpoint written here.
@Suite struct SweepCommandTests {
  private let checkpoint: ChatCheckpoint
  private let folder = TemporaryFolder()

  init() throws { checkpoint = try ChatCheckpoint() }

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func pipeline(_ sweep: String) -> String {
    let data = checkpoint.data("toy.jsonl")
    return folder.write(
      "toy.yaml",
      """
      name: toy
      model: \(checkpoint.path)
      convert: {top_k: 2, shared: 0, strategy: random, router: random}
      sweep: \(sweep)
      stages:
        - name: one
          data: [{file: \(data)}]
          tokens: 128
          sequence_length: 32
          batch_sequences: 2
          losses: {cross_entropy: 1}
      evaluate: {data: [\(data)], window: 32, windows: 2, decode_tokens: 2}
      """)
  }

  @Test func fromDryRunToComparison() throws {
    let file = pipeline("{grid: {experts: [4, 5]}, seeds: [1, 2]}")
    let dry = try HerdRun("sweep", file, "--output", path("s"), "--dry-run", "--threads", "2")
    #expect(dry.status == 0 && !Files.exists(path("s")))
    #expect(dry.output.contains("random-random-4top2-seed2: 128 tokens"))
    #expect(dry.output.contains("random-random-5top2: refused: "))

    let run = try HerdRun("sweep", file, "--output", path("s"), "--threads", "2", "--quiet")
    #expect(run.status == 0, "\(run.error)")
    #expect(run.output.contains("random-random-4top2") && run.output.contains(" ± "))
    #expect(run.output.contains("cells are finished; see"))
    let again = try HerdRun(
      "sweep", file, "--output", path("s"), "--threads", "2", "--time-limit", "5", "--json")
    #expect(again.status == 0, "\(again.error)")
    #expect(try JSON.parse(Array(again.output.utf8))["finished"] == true)

    let cells = path("s/cells/random-random-4top2-seed")
    let report = try HerdRun("report", path("s"), "--json")
    #expect(report.status == 0, "\(report.error)")
    let comparison = try HerdRun("report", "\(cells)1", "--compare", "\(cells)2")
    #expect(comparison.status == 0, "\(comparison.error)")
    #expect(comparison.output.contains("random-random-4top2-seed2"))
    #expect(Files.exists("\(cells)1/comparison.html"))
  }

  @Test func mistakesAreOneLine() throws {
    let noSweep = folder.write("plain.yaml", "model: x\n")
    let sweep = pipeline("{grid: {experts: 4}}")
    for (arguments, words) in [
      (["sweep", noSweep], "herd run"), (["run", sweep], "herd sweep"),
      (["report", path("none")], "no such folder"), (["report", folder.path], "no run.json"),
    ] {
      let run = try HerdRun(list: arguments)
      #expect(
        run.status == 1 && run.errorLines.count == 1 && run.error.contains(words), "\(run.error)")
    }
    let usage = try HerdRun("sweep", sweep, "--time-limit", "0")
    #expect(usage.status == 64)
  }
}
