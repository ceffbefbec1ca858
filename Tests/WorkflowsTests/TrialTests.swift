import ExpertConstruction
import Formats
import Numerics
import TestSupport
import Testing

@testable import Workflows

/// Trials of strategies, routers and formats, and the tables made of them.
@Suite struct TrialTests {
  private let small: SmallRun

  init() throws { small = try SmallRun() }

  private func settings(_ dense: String) -> TrialSettings {
    var settings = TrialSettings(
      dense: dense, data: [small.path("dense/data/math.train.jsonl")])
    settings.evaluation = [small.path("dense/data/math.val.jsonl")]
    settings.calibrationTokens = 200
    (settings.window, settings.windows) = (48, 2)
    return settings
  }

  private func run(_ settings: TrialSettings) throws -> TrialRecord {
    let scratch = try ScratchFolder("herd-trial-test")
    let record = try MethodTrials(
      settings, command: "herd try x | y", device: .cpu(threads: 2)
    ).execute(in: scratch)
    #expect(try Files.names(inFolder: scratch.path).isEmpty)
    for cell in record.cells {
      let reason = cell.refusal ?? cell.failure ?? ""
      #expect(!reason.contains("\n") && !reason.contains(scratch.path), "\(reason)")
    }
    return record
  }

  @Test func theEmbeddedCheckpointInAFewCells() throws {
    var settings = settings(PackageFolder.checkpoint)
    settings.strategies = ["sequential", "random"]
    settings.routers = ["regressed", "analytic"]
    settings.formats = ["granitemoeshared", "gguf"]
    let record = try run(settings)
    #expect(record.failures.isEmpty && record.cells.count == 2 * 2 * 3)
    for cell in record.cells {
      switch (cell.router, cell.format) {
      case (_, "herd"):
        let found = try #require(cell.measurement, "\(cell.refusal ?? "")")
        #expect(found.seconds != nil && found.bytes > 0 && found.activeShare == 0.25)
        #expect(try #require(found.loss) > record.denseLoss)
      case ("regressed", "granitemoeshared"):
        let found = try #require(cell.measurement, "\(cell.refusal ?? "")")
        #expect(try #require(found.difference) < 1e-4 && !found.isRounded)
      case ("regressed", "gguf"):
        // Herd's own folder has router biases, so a stock one is the source.
        let found = try #require(cell.measurement, "\(cell.refusal ?? "")")
        #expect(found.source != "herd" && found.loss == nil && found.bytes > 6_000_000)
      default: #expect(cell.refusal?.contains("gated pairs") == true)
      }
    }

    let path = small.folder.write("record.json", record.json.serialized())
    let again = try TrialRecord(contentsOf: path)
    #expect(again.cells == record.cells)
    let text = TrialReport([record, again]).markdown
    #expect(text == TrialReport([again, record]).markdown)
    #expect(text.contains("\nMade by: herd try x \\| y; beside it: herd try x \\| y\n"))
    #expect(text.contains("| sequential, random | works | works; analytic refused (a) | works;"))
    #expect(text.contains("\n- (a): its router scores experts by gated pairs"))
    #expect(text.contains("| sequential | regressed | 8 top-2 | 25 % | "))
    #expect(!text.contains("## Failures"))
  }

  /// Formats with attention experts of their own are tried with such, and with as many of MLPs.
  @Test func formatsThatMoveAttention() throws {
    let dense = small.path("dense/initial")
    var config = try ConfigurationFile(contentsOf: "\(dense)/config.json")
    config["rms_norm_eps"] = 1e-6
    try config.write(to: "\(dense)/config.json")
    var settings = settings(dense)
    settings.strategies = ["sequential", "prune", "moa", "heads"]
    settings.routers = ["random"]
    settings.formats = ["jetmoe"]
    let record = try run(settings)
    #expect(record.failures.isEmpty)
    let cells = record.cells.filter { $0.format == "jetmoe" }
    #expect(
      cells.filter { $0.measurement?.loss != nil }.map(\.strategy) == ["sequential", "moa"])
    #expect(
      cells.first { $0.strategy == "heads" }?.refusal?.contains("whole query heads") == true)
  }

  /// Of each method once, a strategy goes with the router it would have by itself.
  @Test func defaultRoutersGoFirst() throws {
    var settings = settings(small.path("dense/initial"))
    settings.once = true
    settings.strategies = ["sequential", "upcycle", "heads"]
    settings.formats = ["mixtral"]
    let record = try run(settings)
    for (strategy, router) in [
      ("sequential", "regressed"), ("upcycle", "random"), ("heads", "regressed"),
    ] {
      let own = record.cells.filter { $0.strategy == strategy && $0.format == "herd" }
      #expect(own.first?.router == router && own.first?.measurement != nil, "\(strategy)")
    }
    #expect(TrialReport([record]).markdown.contains("| upcycle | random | 8 top-2 | "))
  }

  @Test func pairsAreAllOrEachOnce() throws {
    var settings = TrialSettings(dense: "", data: [])
    let all = MethodPair.all(settings)
    let routed = StrategyName.allCases.count { $0.make().form != .pruned }
    let attention = MethodList.routers.attention.count * AttentionStrategyName.allCases.count
    #expect(
      all.count == routed * (RouterName.allCases.count - 1) + StrategyName.allCases.count
        + attention)
    settings.once = true
    let once = MethodPair.all(settings)
    #expect(
      once.count == StrategyName.allCases.count + RouterName.allCases.count - 1
        + AttentionStrategyName.allCases.count + MethodList.routers.attention.count - 1)
    #expect(Set(once.map(\.strategy)) == Set(TrialSettings.strategyNames))
    #expect(Set(once.compactMap(\.router)) == Set(RouterName.allCases.map(\.rawValue)))
    settings.strategies = ["nested", "heads"]
    settings.routers = ["prefix", "random"]
    #expect(
      MethodPair.all(settings) == [
        MethodPair(part: .mlp, strategy: "nested", router: "random"),
        MethodPair(part: .mlp, strategy: "nested", router: "prefix"),
        MethodPair(part: .attention, strategy: "heads", router: "random"),
      ])
  }

  /// What is no refusal is a failure, and the tables show it.
  @Test func failuresAreNotRefusals() throws {
    var settings = settings(small.path("dense/initial"))
    settings.once = true
    let context = try Context(device: .cpu(threads: 1))
    let file = small.folder.write("a file", "in the way")
    let cells = PairTrial(
      MethodPair(part: .mlp, strategy: "sequential", router: "random"), settings, scratch: file,
      work: SharedWork(), text: SharedWork(), in: context
    ).run(["herd", "mixtral", "llama"])
    #expect(cells.map { $0.failure != nil } == [true, true, false])
    var record = TrialRecord(
      command: "herd try", checkpoint: "x", machine: "y", denseLoss: 1, settings: settings)
    record.cells = cells
    let text = TrialReport([record]).markdown
    #expect(text.contains("## Failures\n\n- sequential, random, herd: "))
    #expect(text.contains("| sequential | random | "))
    #expect(record.summary == "0 cells work, 1 are refused with a reason, 2 failed")
  }

  /// A record whose cells are a strategy with a router in herd's own format.
  private func record(
    _ checkpoint: String, once: Bool = false,
    _ cells: [(strategy: String, router: String, loss: Double, seconds: Double)]
  ) -> TrialRecord {
    var settings = TrialSettings(dense: checkpoint, data: [])
    settings.once = once
    var record = TrialRecord(
      command: "herd try \(checkpoint)",
      checkpoint: checkpoint.split(separator: "/").last.map(String.init) ?? "", machine: "y",
      denseLoss: 1, settings: settings)
    record.cells = cells.map {
      TrialCell(
        part: "mlp", strategy: $0.strategy, router: $0.router, format: "herd",
        outcome: .works(
          TrialCell.Measurement(
            experts: once ? 4 : 8, topK: 2, shared: 0, activeShare: once ? 0.5 : 0.25,
            loss: $0.loss, bytes: 1, seconds: $0.seconds)))
    }
    return record
  }

  /// Every strategy of any record has a row, one for each router that is usual somewhere.
  @Test func tablesOfSeveralRecords() throws {
    let first = record(
      "Checkpoints/a",
      [
        ("sequential", "regressed", 5, 2), ("random", "regressed", 4, 3),
        ("random", "random", 6, 1),
      ])
    let second = record(
      "b", once: true,
      [("sequential", "regressed", 3, 4), ("random", "random", 2, 6), ("nested", "prefix", 1, 10)])
    let text = TrialReport([first, second], command: "herd try --beside a.json b.json").markdown
    for row in [
      "| sequential | regressed | 8 top-2, 4 top-2 | 25 % | 5.000 | 1.0 × "
        + "| 50 % | 3.000 | 1.0 × |  |",
      "| random | regressed | 8 top-2 | 25 % | 4.000 | 1.5 × |  |  |  | regressed 4.000 |",
      "| random | random | 8 top-2, 4 top-2 | 25 % | 6.000 |  | 50 % | 2.000 | 1.5 × "
        + "| regressed 4.000 |",
      "| nested | prefix | 4 top-2 |  |  |  | 50 % | 1.000 | 2.5 × |  |",
    ] {
      #expect(text.contains("\n\(row)\n"), "\(row)\n\(text)")
    }
    #expect(
      text.contains(
        "\nMade by: herd try Checkpoints/a; beside it: herd try b; put together by: herd try "
          + "--beside a.json b.json. Of absolute paths only the name is given. Checkpoints that are "
          + "not part of herd's repository: b.\n"))
    #expect(!text.contains("## Reasons"))
    #expect(!TrialReport([first], command: "x").markdown.contains("not part of"))
    #expect(TrialReport([first]).markdown.contains("\nMade by: herd try Checkpoints/a\n"))
  }

  @Test func sizesThatCannotBeAreRefused() throws {
    for tokens in [0, -5, .max] {
      var settings = TrialSettings(dense: "", data: [])
      settings.calibrationTokens = tokens
      let error = #expect(throws: WorkflowError.self) { try settings.check() }
      #expect(error?.description.contains("\(tokens) calibration tokens; give from 1") == true)
    }
  }

  @Test func reasonsHaveLetters() {
    var list = RefusalList()
    let letters = (0..<29).map { list.letter("\($0)") }
    #expect(letters[0] == "(a)" && letters[25] == "(z)" && letters[26] == "(aa)")
    #expect(list.letter("27") == "(ab)" && list.reasons.count == 29)
  }
}
