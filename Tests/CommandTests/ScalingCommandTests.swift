import Formats
import TestSupport
import Testing

/// `scaling` from dry run to report.
@Suite struct ScalingCommandTests {
  private let folder = TemporaryFolder()

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func pipeline(tokens: String = "[64, 128]") -> String {
    folder.write(
      "toy.yaml",
      """
      name: toy
      synthesize: {records: 200, held_out: 20, vocabulary: 300}
      scaling:
        architectures: [llama, tnl]
        sizes: [{name: a, hidden_size: 8, layers: 1, heads: 2, width: 24}]
        tokens: \(tokens)
      stages:
        - name: train
          data: [{file: "{run}/data/math.train.jsonl"}]
          sequence_length: 32
          batch_sequences: 2
      evaluate: {data: ["{run}/data/math.val.jsonl"], window: 32, windows: 8}
      """)
  }

  @Test func fromDryRunToReport() throws {
    let file = pipeline()
    let dry = try HerdRun("scaling", file, "--output", path("s"), "--dry-run", "--threads", "1")
    #expect(dry.status == 0 && !Files.exists(path("s")), "\(dry.error)")
    #expect(dry.output.contains("tnl-a-128: ") && dry.output.contains("left: 384 tokens"))
    try memoryIsThatOfTheLargestTogether(file)

    let run = try HerdRun("scaling", file, "--output", path("s"), "--threads", "1", "--quiet")
    #expect(run.status == 0 && run.error.isEmpty, "\(run.error)")
    let sideBySide = try HerdRun(
      "scaling", file, "--output", path("j"), "--threads", "2", "--jobs", "2")
    #expect(sideBySide.status == 0 && sideBySide.output.contains("all 4 cells are finished; see"))
    #expect(
      sideBySide.output.replacing(path("j"), with: path("s")) == run.output
        && sideBySide.error.contains("tnl-a-128: training train"), "\(sideBySide.error)")
    #expect(run.output.contains("2.74e8 C^0.6470"))
    #expect(run.output.contains("all 4 cells are finished; see"))
    let again = try HerdRun(
      "scaling", file, "--output", path("s"), "--threads", "1", "--time-limit", "5", "--json")
    #expect(again.status == 0, "\(again.error)")
    #expect(try JSON.parse(Array(again.output.utf8))["finished"] == true)
    let report = try HerdRun("report", path("s"))
    #expect(report.status == 0 && report.output.contains("2.74e8 C^0.6470"), "\(report.error)")
  }

  /// With two jobs the two largest cells may meet; the time is that of one after another.
  private func memoryIsThatOfTheLargestTogether(_ file: String) throws {
    let arguments = ["scaling", file, "--output", path("s"), "--dry-run", "--threads", "2"]
    func estimate(_ jobs: String) throws -> JSON {
      let run = try HerdRun(list: arguments + ["--json", "--jobs", jobs])
      #expect(run.status == 0 && !Files.exists(path("s")), "\(run.error)")
      return try JSON.parse(Array(run.output.utf8))
    }
    func numbers(_ estimate: JSON, _ key: String) -> [Double] {
      (estimate["cells"]?.array ?? []).compactMap { $0[key]?.double }
    }
    for jobs in [1, 2, 9] {
      let estimate = try estimate("\(jobs)")
      let largest = numbers(estimate, "memory_bytes").sorted(by: >)
      #expect(largest.count == 4 && Set(largest).count > 1)
      #expect(estimate["memory_bytes"]?.double == largest.prefix(jobs).reduce(0, +))
      let seconds = numbers(estimate, "seconds").reduce(0, +)
      let total = try #require(estimate["seconds"]?.double)
      #expect(seconds > 0 && abs(total - seconds) < 1e-9 * seconds)
    }
    let text = try HerdRun(list: arguments + ["--jobs", "2"]).output
    let both = try #require(try estimate("2")["memory_bytes"]?.int)
    #expect(text.contains("left: 384 tokens, up to \(both >> 20) MiB, about "), "\(text)")
  }

  @Test func mistakesAreOneLine() throws {
    let plain = folder.write("plain.yaml", "model: x\n")
    let ladder = pipeline(tokens: "[64, 9000000]")
    for (arguments, words) in [
      (["scaling", plain], "no \"scaling\" section"), (["pretrain", ladder], "herd scaling"),
      (["run", ladder], "herd scaling"), (["sweep", ladder], "no \"sweep\" section"),
      (["scaling", ladder, "--output", path("s"), "--threads", "1", "--quiet"], " epochs of "),
    ] {
      let run = try HerdRun(list: arguments)
      #expect(
        run.status == 1 && run.errorLines.count == 1 && run.error.contains(words), "\(run.error)")
    }
    for option in ["--time-limit", "--jobs"] {
      let usage = try HerdRun("scaling", ladder, option, "0")
      #expect(usage.status == 64 && usage.error.contains(option), "\(usage.error)")
    }
  }
}
