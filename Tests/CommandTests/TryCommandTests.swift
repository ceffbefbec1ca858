import Formats
import Foundation
import TestSupport
import Testing

/// `try`, on a checkpoint written here.
@Suite struct TryCommandTests {
  private let checkpoint: ChatCheckpoint
  private let folder = TemporaryFolder()

  init() throws { checkpoint = try ChatCheckpoint() }

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func arguments(_ more: [String]) -> [String] {
    [
      "try", checkpoint.path, "--data", checkpoint.data("toy.jsonl"), "--experts", "4",
      "--window", "32", "--windows", "1", "--calibration-tokens", "64", "--threads", "1",
    ] + more
  }

  private func run(_ more: String...) throws -> HerdRun { try HerdRun(list: arguments(more)) }

  private let few = [
    "--strategies", "sequential", "heads", "--routers", "random", "--formats", "mixtral", "--quiet",
  ]

  @Test func tablesAndRecords() throws {
    let first = try HerdRun(list: arguments(few + ["--json"]))
    #expect(first.status == 0 && first.errorLines.isEmpty, "\(first.error)")
    let record = try JSON.parse(Array(first.output.utf8))
    let cells = try #require(record["cells"]?.array)
    #expect(cells.map { $0["outcome"]?.string } == ["works", "works", "works", "refused"])
    #expect(record["failures"]?.int == 0)

    let beside = folder.write("first.json", first.output)
    let second = try HerdRun(
      list: arguments(few + ["--beside", beside, "--output", path("tables.md")]))
    #expect(second.status == 0, "\(second.error)")
    #expect(second.output.contains("3 cells work, 1 are refused with a reason, 0 failed\nwrote "))
    let text = String(decoding: try Files.read(path("tables.md")), as: UTF8.self)
    #expect(text.hasPrefix("# Strategies, routers and formats\n\nMade by: herd try "))
    #expect(!text.contains(folder.path) && !text.contains(checkpoint.path))
    #expect(text.contains("its attention is made of experts too (heads)"))

    let alone = try HerdRun("try", "--beside", beside, beside)
    #expect(alone.status == 0 && alone.output.hasPrefix(text.prefix(60)), "\(alone.error)")

    let there = try HerdRun(list: arguments(few + ["--output", path("tables.md")]))
    #expect(there.status == 1 && there.error.contains("--force"), "\(there.error)")
  }

  @Test func mistakesAreOneLine() throws {
    for (more, words) in [
      (["--output", path("no/such/folder.md")], "make the folder first"),
      (["--evaluate", path("missing.jsonl")], "missing.jsonl"),
      (["--beside", checkpoint.path + "/config.json"], "not what herd try --json"),
      (["--window", "4096"], "4096"),
    ] {
      let run = try HerdRun(list: arguments(more + ["--quiet"]))
      #expect(run.status == 1 && run.output.isEmpty)
      #expect(run.errorLines.count == 1 && run.error.contains(words), "\(run.error)")
    }
    #expect(try HerdRun("try").status == 64)
    #expect(try HerdRun("try", checkpoint.path).error.contains("give calibration text"))
    for (more, words) in [
      (["--strategies", "activatoin"], "did you mean \"activation\""),
      (["--formats", "gptq"], "is not known"), (["--top-k", "5"], "between 1 and 4"),
    ] {
      let run = try HerdRun(list: arguments(more))
      #expect(run.status == 64 && run.error.contains(words), "\(run.error)")
    }
  }

  @Test func anInterruptionLeavesNothing() throws {
    let temporary = TemporaryFolder()
    let process = Process()
    process.executableURL = try HerdRun.program()
    process.arguments = arguments(["--output", path("tables.md"), "--quiet"])
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["TMPDIR": temporary.path]
    ) { $1 }
    try process.run()
    let begun = { (try? Files.names(inFolder: temporary.path + "/" + temporary.names[0]))?.count }
    while process.isRunning, temporary.names.isEmpty || begun() ?? 0 == 0 { usleep(2000) }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationReason == .uncaughtSignal)
    #expect(temporary.names.isEmpty)
    #expect(folder.names.isEmpty)
  }
}
