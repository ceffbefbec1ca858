import Formats
import Numerics
import TestSupport
import Testing

@testable import Workflows

/// Whole sweeps on a model of a few thousand weights.
@Suite struct SweepTests {
  private let small: SmallRun

  init() throws { small = try SmallRun() }

  private static let section = """
    {active_share: 0.5, grid: {experts: [4, 6, 8], strategy: random, router: regressed},
      cells: [{experts: 3, shared: 1, strategy: random, router: random}]}
    """

  private func pipeline(_ sweep: String = section, stage: String = SmallRun.stage("one")) throws
    -> Pipeline
  {
    var sections = SmallRun.sections
    sections["export"] = nil
    sections["evaluate"] =
      "{data: [dense/data/math.val.jsonl, dense/data/code.val.jsonl], window: 48, windows: 3, "
      + "analysis_windows: 2, decode_tokens: 4}"
    sections["sweep"] = sweep
    return try small.pipeline([stage], sections: sections)
  }

  private func sweep(
    _ pipeline: Pipeline, into folder: String = "sweep", limit: TimeLimit? = nil,
    note: @escaping (String) -> Void = { _ in }
  ) throws -> GridResult {
    try Sweep(
      pipeline, output: small.path(folder), device: .cpu(threads: 2), limit: limit,
      events: WorkflowEvents(note: note)
    ).execute()
  }

  private func text(_ name: String) throws -> String {
    String(decoding: try Files.read(small.path(name)), as: UTF8.self)
  }

  private static let mixtures = [
    "random-regressed-4top2-seed5", "random-regressed-8top4-seed5",
    "random-random-1+3top1-seed5",
  ]

  @Test func everyCellIsMeasuredAndReported() throws {
    let result = try sweep(pipeline())
    #expect(result.json["finished"] == true)
    let cells = result.json["cells"]?.array ?? []
    let finished = cells.filter { $0["status"] == "finished" && $0["strategy"] != "prune" }
    #expect(finished.compactMap { $0["name"]?.string } == Self.mixtures)
    for cell in finished {
      for key in [
        "training_free_loss", "loss", "kl_to_dense", "top1_agreement", "decode_tokens_per_second",
        "bytes_per_token", "min_load_entropy",
      ] {
        #expect(cell[key]?.double ?? 0 > 0, "\(cell["name"]?.string ?? ""): \(key)")
      }
      #expect(cell["dead_experts"]?.int != nil)
      #expect(cell["active_share"]?.double == 0.5)
      #expect(cell["expert_usage/normalized_entropy_mean"]?.double ?? 0 > 0)
      let folder = "sweep/\(cell["folder"]?.string ?? "")"
      #expect(Files.exists(small.path("\(folder)/one/model.safetensors")))
      #expect(!Files.exists(small.path("\(folder)/one/checkpoint")), "resume states are gone")
    }
    let refused = cells.filter { $0["status"] == "refused" }
    #expect(refused.compactMap { $0["name"]?.string } == ["random-regressed-6top3"])
    #expect(refused.first?["reason"]?.string?.contains("do not divide the MLP width 64") == true)
    // The dense model was scored once, and costs more than a mixture of half its neurons.
    let dense = result.json["dense"]
    #expect(dense?["loss"]?.double != nil)
    let bytes = dense?["bytes_per_token"]?.int ?? 0
    #expect(finished.allSatisfy { $0["bytes_per_token"]?.int ?? .max < bytes })
    #expect(
      !(try text("sweep/cells/\(Self.mixtures[0])/run.json")).contains("\"evaluate:dense\""))
    let front = result.json["pareto"]?["tokens_per_second"]?.array ?? []
    #expect(!front.isEmpty)

    let csv = try text("sweep/sweep.csv").split(separator: "\n")
    #expect(csv.count == 2 + cells.count)
    #expect(csv.first?.hasPrefix("name,group,status,strategy") == true)
    #expect(csv.first?.contains(",mean_top_k,shared,recovery,") == true)
    #expect(csv.dropFirst().first?.hasPrefix("dense,dense,finished") == true)
    let html = try text("sweep/report.html")
    for words in [
      "Loss against speed of decoding", "Loss over granularity", "1+3 top-1",
      "adjusted Rand index", "Experts of ", "do not divide", "dense",
    ] {
      #expect(html.contains(words), "\(words)")
    }
    #expect(try text("sweep/report.md").contains("| random-regressed-8top4 |"))
    let analysis = try JSON.parse(Files.read(small.path("sweep/analysis.json")))
    let overlap = analysis["neuron_overlap"]?["values"]?.array ?? []
    #expect(overlap.count >= 3)

    // Again nothing is done, and a report made again is the same.
    let again = try sweep(pipeline())
    #expect(again.text.contains("cells are finished; see"))
    #expect(again.json["cells"] == result.json["cells"])
    try Files.remove(small.path("sweep/report.html"))
    _ = try ReportMaking(small.path("sweep")).execute()
    #expect(try text("sweep/report.html") == html)

    // A cell's settings that change are named.
    let error = #expect(throws: WorkflowError.self) {
      try sweep(pipeline(stage: SmallRun.stage("one", learningRate: "1e-3")))
    }
    #expect(error?.description.contains("(stages[0].learning_rate)") == true)
  }

  /// A clock that ticks with every look at it ends the sweep at many points, also within a stage.
  @Test func callsWithATimeLimitAddUpToTheSameResult() throws {
    let whole = try sweep(pipeline(), into: "whole")
    var notes: [String] = []
    var calls = 0
    var part: GridResult
    repeat {
      var looks = 0.0
      part = try sweep(
        pipeline(),
        limit: TimeLimit(seconds: 7) {
          looks += 1
          return looks
        }, note: { notes.append($0) })
      calls += 1
      if part.json["finished"] != true {
        #expect(part.text.contains("run the same command again to go on"))
        #expect(Files.exists(small.path("sweep/report.html")))
      }
    } while part.json["finished"] != true && calls < 60
    #expect(part.json["finished"] == true)
    #expect(calls > 4)
    #expect(notes.contains { $0.contains("going on at step") }, "a stage was cut in the middle")
    for name in Self.mixtures {
      let file = "cells/\(name)/one/model.safetensors"
      #expect(
        try Files.read(small.path("sweep/\(file)")) == Files.read(small.path("whole/\(file)")))
    }
    func results(_ result: GridResult) -> [[Double?]] {
      (result.json["cells"]?.array ?? []).map { cell in
        ["training_free_loss", "loss", "kl_to_dense", "min_load_entropy"].map { cell[$0]?.double }
      }
    }
    #expect(results(part) == results(whole))
  }

  @Test func lossesShareAConversionAndSeedsAreAveraged() throws {
    let result = try sweep(
      pipeline(
        """
        {grid: {experts: 4, top_k: 2, strategy: random, router: random}, seeds: [1, 2],
          losses: [{name: kd}, {name: plain, hidden_alignment: 0}]}
        """))
    #expect(result.json["finished"] == true)
    let groups = (result.json["groups"]?.array ?? []).filter { $0["strategy"] != "prune" }
    #expect(groups.map { $0["seeds"]?.int } == [2, 2])
    for group in groups {
      let (low, mean, high) = (
        group["loss_min"]?.double ?? 0, group["loss"]?.double ?? 0, group["loss_max"]?.double ?? 0
      )
      #expect(low < mean && mean < high)
    }
    #expect(result.text.contains(" ± "))
    let cells = small.path("sweep/cells")
    #expect(Files.exists("\(cells)/random-random-4top2-kd-seed1/converted"))
    #expect(!Files.exists("\(cells)/random-random-4top2-plain-seed1/converted"))
    #expect(Files.exists("\(cells)/random-random-4top2-plain-seed1/one/config.json"))

    // Runs of the sweep compare like any others.
    let made = try ReportMaking(
      "\(cells)/random-random-4top2-kd-seed1",
      comparedWith: ["\(cells)/random-random-4top2-plain-seed1"]
    ).execute()
    let page = String(decoding: try Files.read(made.html), as: UTF8.self)
    #expect(page.contains("Training loss") && page.contains("Cross-entropy in training"))
    #expect(page.contains("stages[0].losses.hidden_alignment"))
    let markdown = String(decoding: try Files.read(made.markdown), as: UTF8.self)
    #expect(markdown.contains("| stages\\[0\\].losses.hidden\\_alignment | 1 | 0 |"))
  }

  @Test func aSweepOfNothingAndForeignFoldersAreRefused() throws {
    let nothing = #expect(throws: WorkflowError.self) {
      try sweep(pipeline("{grid: {experts: 6, top_k: 3}}"))
    }
    #expect(nothing?.description.contains("no cell of the sweep can be made") == true)
    #expect(!Files.exists(small.path("sweep")))
    let foreign = #expect(throws: WorkflowError.self) { try sweep(pipeline(), into: "dense") }
    #expect(foreign?.description.contains("not a sweep folder") == true)
    let none = #expect(throws: WorkflowError.self) {
      try ReportMaking(small.path("dense/data")).execute()
    }
    #expect(none?.description.contains("no run.json") == true)
    let missing = try pipeline().path
    let text = try text("moe.yaml").replacing("math.val.jsonl", with: "none.jsonl")
    small.folder.write("moe.yaml", text)
    #expect(throws: (any Error).self) { try sweep(Pipeline(contentsOf: missing)) }
    #expect(!Files.exists(small.path("sweep")))
  }

  @Test func anEstimateListsEveryCell() throws {
    let estimate = try Sweep(
      pipeline(), output: small.path("sweep"), device: .cpu(threads: 1)
    ).estimate()
    #expect(estimate.lines.contains { $0.hasPrefix("random-regressed-6top3: refused: ") })
    #expect(estimate.tokens >= 3 * 1152)
    #expect(estimate.memory > 0 && estimate.seconds > 0)
    #expect(!Files.exists(small.path("sweep")))
  }
}

@Suite struct ReportMakingTests {
  @Test func aRunsReportIsMadeAgainTheSame() throws {
    let small = try SmallRun()
    _ = try small.run(small.pipeline([SmallRun.stage("one")]))
    let page = small.path("moe/report.html")
    let before = try Files.read(page)
    try Files.remove(page)
    let result = try ReportMaking(small.path("moe")).execute()
    let after = String(decoding: try Files.read(page), as: UTF8.self)
    #expect(result.html == page)
    // The record of the run takes the place of the pipeline file.
    let expected = String(decoding: before, as: UTF8.self)
      .replacing(small.path("moe.yaml"), with: small.path("moe/run.json"))
    #expect(after == expected)
    for words in ["Experts", "router entropy", "Load of each expert", "chosen together"] {
      #expect(after.contains(words), "\(words)")
    }
  }

  @Test func valuesAreFoundByTheirPath() throws {
    let json = try JSON.parse(Array(#"{"a": [{"b": {"c": 3}}, 4]}"#.utf8))
    #expect(RunComparison.value(at: "a[0].b.c", of: json) == 3)
    #expect(RunComparison.value(at: "a[1]", of: json) == 4)
    #expect(RunComparison.value(at: "a[2].b", of: json) == nil)
  }
}
