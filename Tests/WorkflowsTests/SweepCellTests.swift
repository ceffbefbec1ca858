import Formats
import TestSupport
import Testing

@testable import Workflows

@Suite struct SweepCellTests {
  private let folder = TemporaryFolder()

  private func pipeline(_ sweep: String, rest: String = "") throws -> Pipeline {
    try Pipeline(
      contentsOf: folder.write(
        "pipeline.yaml",
        """
        name: study
        seed: 4
        model: dense
        convert: {experts: 8, top_k: 2, shared: 0, strategy: random, router: random}
        stages: [{name: one, data: [{file: a.jsonl}], tokens: 10, losses: {distillation: 1}}]
        evaluate: {data: [v.jsonl]}
        \(rest)
        sweep:
        \(sweep.split(separator: "\n").map { "  \($0)" }.joined(separator: "\n"))

        """))
  }

  private func cells(_ sweep: String) throws -> SweepCells {
    try SweepCells(pipeline(sweep), home: "home")
  }

  private func problem(_ sweep: String, rest: String = "") -> String {
    do {
      _ = try SweepCells(pipeline(sweep, rest: rest), home: "home")
      return "accepted"
    } catch {
      return "\(error)"
    }
  }

  /// The cells that are not the baseline.
  private func names(_ cells: SweepCells) -> [String] {
    cells.cells.filter { !$0.isPruned }.map(\.name)
  }

  @Test func allCombinationsInOrder() throws {
    let cells = try cells(
      """
      grid: {strategy: [sequential, random], experts: [4, 8], top_k: 2}
      cells:
        - {experts: 7, top_k: 1, shared: 1, router: [random, centroid]}
        - {experts: 4, top_k: 2, strategy: random}
      """)
    #expect(
      names(cells) == [
        "sequential-random-4top2-seed4", "sequential-random-8top2-seed4",
        "random-random-4top2-seed4", "random-random-8top2-seed4", "random-random-1+7top1-seed4",
        "random-centroid-1+7top1-seed4",
      ], "a cell that is there already is not made twice")
    #expect(cells.refused.isEmpty)
    let cell = try #require(cells.cells.first { $0.name == "random-centroid-1+7top1-seed4" })
    #expect(cell.pipeline.convert?.shared == 1 && cell.pipeline.convert?.router == "centroid")
    #expect(cell.pipeline.name == cell.name && cell.pipeline.sweep == nil)
    #expect(cell.pipeline.evaluate?.decodeTokens == 64)
    #expect(try cell.pipeline.resolve("{run}/x", run: "elsewhere") == "home/x")
  }

  @Test func aFixedShareGivesTopKAndRefusesOthers() throws {
    let cells = try cells(
      """
      active_share: 0.25
      grid: {experts: [4, 6, 7, 16], shared: [0, 1]}
      cells: [{experts: 8, top_k: 4}, {experts: 7, shared: 2, top_k: 1}]
      """)
    #expect(
      names(cells) == [
        "random-random-4top1-seed4", "random-random-1+7top1-seed4", "random-random-16top4-seed4",
      ])
    let reasons = cells.refused.map(\.reason)
    #expect(reasons.count == 7)
    #expect(reasons.contains { $0.contains("no top_k keeps 25 % active with 6 routed") })
    #expect(reasons.contains { $0.contains("keeps 50 % of each MLP active") })
    #expect(reasons.contains { $0.contains("keeps 33.3 %") })
  }

  /// A token uses k whole MLPs of copies, which is compared with no part of one, nor with pruning.
  @Test func copiesUseWholeMLPs() throws {
    let copies = "strategy: [upcycle, drop-upcycle], router: random"
    let quarter = try cells("active_share: 0.25\ngrid: {experts: 8, top_k: 2, \(copies)}")
    #expect(quarter.cells.isEmpty && quarter.refused.count == 2)
    #expect(quarter.refused.allSatisfy { $0.reason.contains("keeps 200 % of each MLP active") })
    let whole = try cells("active_share: 1\ngrid: {experts: 8, drop_ratio: 0.3, \(copies)}")
    #expect(names(whole) == ["drop-upcycle-random-8top1-drop_ratio_0.3-seed4"])
    #expect(whole.refused.map(\.reason).allSatisfy { $0.contains("drop_ratio is for") })
    #expect(whole.cells.allSatisfy { !$0.isPruned })
  }

  @Test func searchedSharedUnitsAreACellOfTheirOwn() throws {
    let cells = try cells("active_share: 0.25\ngrid: {experts: 8, shared: [0, auto]}")
    #expect(names(cells) == ["random-random-8top2-seed4", "random-random-auto+8top2-seed4"])
    let rows = cells.cells.filter { !$0.isPruned }.map {
      SweepRow($0, folder: "none", owner: $0.name, failure: nil)
    }
    #expect(rows.map { $0.json["shared"] } == [0, "auto"])
    let groups = rows.map { SweepGroup(name: $0.group, rows: [$0]) }
    #expect(groups.map(\.label) == ["8 top-2", "auto+8 top-2"])
    #expect(groups.map(\.series) == ["random", "random, shared units"])
  }

  /// What experts alone have does not keep the baseline from being made, and rows tell it apart.
  @Test func theBaselineLeavesOutWhatExpertsHave() throws {
    let cells = try cells(
      """
      grid: {recovery: [scale, refit], mean_top_k: 1.5}
      cells:
        - {strategy: gradient, assignment: greedy, keep_dense: [[0]]}
        - {strategy: prune, recovery: scale}
      """)
    #expect(cells.refused.isEmpty)
    let pruned = cells.cells.filter(\.isPruned)
    #expect(pruned.map(\.name) == ["prune-25-seed4", "prune-25-keep_dense__0_-seed4"])
    for cell in pruned {
      #expect(cell.convert.recovery == "none" && cell.convert.meanTopK == nil)
      #expect(cell.convert.assignment == nil)
    }
    #expect(pruned.map(\.convert.keepDense) == [[], [0]])
    let rows = cells.cells.filter { !$0.isPruned }.map {
      SweepRow($0, folder: "none", owner: $0.name, failure: nil)
    }
    #expect(rows.map { $0.text("recovery") } == ["scale", "refit", "none"])
    #expect(rows.map { $0.number("mean_top_k") } == [1.5, 1.5, nil])
    let groups = rows.map { SweepGroup(name: $0.group, rows: [$0]) }
    #expect(
      groups.map(\.label)
        == ["8 top-2, mean 1.5, scale", "8 top-2, mean 1.5, refit", "8 top-2"])
    #expect(groups[1].json["recovery"] == "refit" && groups[1].json["mean_top_k"] == 1.5)
  }

  @Test func lossesAndSeedsMultiply() throws {
    let cells = try cells(
      """
      grid: {experts: 4, top_k: 2}
      losses:
        - {name: kd}
        - {name: aligned, hidden_alignment: 3}
      seeds: [1, 2]
      """)
    #expect(
      names(cells) == [
        "random-random-4top2-kd-seed1", "random-random-4top2-aligned-seed1",
        "random-random-4top2-kd-seed2", "random-random-4top2-aligned-seed2",
      ])
    let mixtures = cells.cells.filter { !$0.isPruned }
    #expect(mixtures.map(\.seed) == [1, 1, 2, 2])
    #expect(mixtures.map { $0.pipeline.seed } == [1, 1, 2, 2])
    #expect(mixtures.map { $0.pipeline.stages.first?.losses.hiddenAlignment } == [0, 3, 0, 3])
    #expect(mixtures.allSatisfy { $0.pipeline.stages.first?.losses.distillation == 1 })
    #expect(cells.owner(of: mixtures[1]) == mixtures[0].name, "one conversion for both losses")
    #expect(cells.owner(of: mixtures[3]) == mixtures[2].name)
    #expect(Set(mixtures.map(\.group)).count == 2)
  }

  @Test func whatCannotBeMadeIsListed() throws {
    let cells = try SweepCells(
      pipeline("grid: {experts: [4, 5], top_k: 2, router: [random, oracle]}"), home: "home"
    ) { $0.experts == 5 ? "no" : nil }
    #expect(names(cells) == ["random-random-4top2-seed4"])
    #expect(
      cells.refused.first { $0.name == "random-random-5top2" }
        == RefusedCell(name: "random-random-5top2", reason: "no"))
    #expect(cells.refused.count { $0.reason.contains("router \"oracle\" is not known") } == 2)
    let unknown = try self.cells("grid: {experts: [4], topk: [2]}\ncells: [{top_k: 1}]")
    #expect(unknown.refused.first?.reason.contains("did you mean \"top_k\"?") == true)
  }

  @Test func settingsAreChecked() {
    #expect(problem("grdi: {}").contains("did you mean \"grid\"?"))
    #expect(problem("active_share: 2\ngrid: {experts: 4}").contains("above 0, at most 1"))
    #expect(problem("seeds: [1]").contains("\"grid\""))
    #expect(problem("grid: {data: [a.jsonl]}").contains("in \"convert\""))
    #expect(problem("grid: {experts: 4}\nseeds: [-1]").contains("at least 0"))
    #expect(
      problem("grid: {experts: 4}\nlosses: [{name: a}, {name: a}]").contains("name of its own"))
    #expect(
      problem("grid: {experts: 4, top_k: 1}\nlosses: [{name: a, distilation: 1}]")
        .contains("distillation"))
    #expect(problem("grid: {experts: 4}", rest: "export: [mixtral]").contains("no \"export\""))
  }

  @Test func aSweepIsNoRun() throws {
    let pipeline = try pipeline("grid: {experts: 4}")
    let error = #expect(throws: WorkflowError.self) { try Run(pipeline) }
    #expect(error?.description.contains("herd sweep") == true)
  }
}

@Suite struct NeuronOverlapTests {
  /// Values of scikit-learn's `adjusted_rand_score`, by hand from the definition.
  @Test func indexByHand() {
    let index = NeuronOverlap.adjustedRandIndex
    #expect(index([0, 0, 1, 1], [1, 1, 0, 0]) == 1)
    #expect(abs(index([0, 0, 1, 2], [0, 0, 1, 1]) - 4.0 / 7) < 1e-12)
    #expect(abs(index([0, 0, 1, 1], [0, 1, 0, 1]) + 0.5) < 1e-12)
    #expect(index([0, 0, 0], [0, 0, 0]) == 1)
  }

  @Test func neuronsLeftOutAreAGroup() {
    #expect(NeuronOverlap.groups([[2], [0, 4]], width: 5) == [1, 2, 0, 2, 1])
    #expect(
      NeuronOverlap.groups([[], [0, 1], [1, 2]], width: 3) == [1, 1, 2], "the first counts")
    #expect(NeuronOverlap.similarity([[0, 0, 1], []], [[1, 1, 0], [0, 1, 1]]) == 1)
  }

  @Test func chanceGivesAboutZero() {
    var random = SeededGenerator(seed: 2)
    let (a, b) = (
      (0..<4000).map { _ in Int.random(in: 0..<8, using: &random) },
      (0..<4000).map { _ in Int.random(in: 0..<8, using: &random) }
    )
    #expect(NeuronOverlap.adjustedRandIndex(a, b).magnitude < 0.01)
  }
}
