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
    #expect(
      alone.output.contains("; put together by: herd try --beside first.json first.json. Of ab"))
    let spelled = try HerdRun("try", "--beside=\(beside)")
    #expect(spelled.output.contains("put together by: herd try --beside=first.json. Of absolute"))
    for more in [["--data", beside], ["--once"], ["--experts", "4"], ["--seed", "0"]] {
      let refused = try HerdRun(list: ["try", "--beside", beside] + more)
      #expect(refused.status == 64 && refused.error.contains("\(more[0]) is for trials"))
    }

    let there = try HerdRun(list: arguments(few + ["--output", path("tables.md")]))
    #expect(there.status == 1 && there.error.contains("--force"), "\(there.error)")
  }

  @Test func mistakesAreOneLine() throws {
    for (more, words) in [
      (["--output", path("no/such/folder.md")], "make the folder first"),
      (["--output", ""], "has no name"),
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
      (["--calibration-tokens", "0"], "from 1 to"),
    ] {
      let run = try HerdRun(list: arguments(more))
      #expect(run.status == 64 && run.error.contains(words), "\(run.error)")
    }
  }

  /// An output that could not be written in the end is refused in the beginning.
  @Test(.enabled(if: geteuid() != 0, "nothing is forbidden to root"))
  func aFolderWithoutPermissionIsRefused() throws {
    #expect(chmod(folder.path, 0o555) == 0)
    defer { chmod(folder.path, 0o755) }
    let run = try HerdRun(list: arguments(few + ["--output", path("tables.md")]))
    #expect(run.status == 1 && run.output.isEmpty)
    #expect(run.errorLines.count == 1 && run.error.contains("check the permissions"))
  }

  /// What a killed program left goes too, and what others have of a like name stays. A hangup that
  /// the program was started to ignore ends nothing.
  @Test(arguments: [false, true])
  func anInterruptionLeavesNothing(ignoresHangups: Bool) throws {
    let temporary = TemporaryFolder()
    temporary.write("herd-try", "of somebody else")
    temporary.write(".herd-try.scratch-4000000/0/model", "of a killed one")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments =
      ["-c", (ignoresHangups ? "trap '' HUP; " : "") + "exec \"$0\" \"$@\""]
      + [try HerdRun.program().path] + arguments(["--output", path("tables.md"), "--quiet"])
    process.environment = ProcessInfo.processInfo.environment.merging(
      ["TMPDIR": temporary.path]
    ) { $1 }
    try process.run()
    let scratch = "\(temporary.path)/.herd-try.scratch-\(process.processIdentifier)"
    let begun = { (try? Files.names(inFolder: scratch))?.isEmpty == false }
    while process.isRunning, !begun() { usleep(2000) }
    if ignoresHangups {
      kill(process.processIdentifier, SIGHUP)
      usleep(50_000)
    }
    process.terminate()
    process.waitUntilExit()
    #expect(process.terminationReason == .uncaughtSignal)
    #expect(process.terminationStatus == SIGTERM)
    #expect(temporary.names == ["herd-try"])
    #expect(folder.names.isEmpty)
  }
}
