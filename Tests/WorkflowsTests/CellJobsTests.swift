import Formats
import Numerics
import TestSupport
import Testing

@testable import Workflows

/// Grids whose cells are done side by side.
@Suite struct CellJobsTests {
  private let folder = TemporaryFolder()

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private static let names = [
    "llama-a-256", "hgrn2-a-256", "llama-b-256", "hgrn2-b-256", "llama-c-256", "hgrn2-c-256",
  ]

  /// Six small models. Those done by several jobs at a time have a thread each, as the one of the only
  /// job.
  private func ladder(
    into name: String, jobs: Int, limit: TimeLimit? = nil,
    events: WorkflowEvents = WorkflowEvents()
  ) throws -> GridResult {
    let section =
      "{architectures: [llama, hgrn2], sizes: \(LadderText.sizes), tokens: [256], keep_models: true}"
    return try Scaling(
      LadderText.pipeline(section, path: folder.path, stage: ", checkpoint_every: 1"),
      output: path(name), jobs: jobs, device: .cpu(threads: jobs), limit: limit, events: events
    ).execute()
  }

  /// What must not depend on who did a cell, and when.
  private struct Outcome: Equatable {
    let fits: JSON?
    let rows: [[JSON?]]
    let models: [[UInt8]]
  }

  private func outcome(_ result: GridResult, of name: String) throws -> Outcome {
    let keys = ["name", "status", "loss", "loss_by_domain", "training_loss"]
    return Outcome(
      fits: result.json["fits"],
      rows: (result.json["cells"]?.array ?? []).map { row in keys.map { row[$0] } },
      models: try Self.names.map {
        try Files.read(path("\(name)/cells/\($0)/train/model.safetensors"))
      })
  }

  @Test func resultsAreThoseOfOneAfterAnother() throws {
    let one = try ladder(into: "one", jobs: 1)
    #expect(one.json["finished"] == true)
    var notes: [String] = []
    var last: WorkflowProgress?
    let three = try ladder(
      into: "three", jobs: 3,
      events: WorkflowEvents {
        notes.append($0)
      } progress: {
        last = $0
      })
    #expect(try outcome(three, of: "three") == outcome(one, of: "one"))
    #expect(three.json["device"] == one.json["device"])
    // Lines say which cell they are about.
    for name in Self.names {
      #expect(notes.contains { $0.hasPrefix("cell ") && $0.hasSuffix(": \(name)") })
      #expect(notes.contains { $0.hasPrefix("\(name): train: tensors took") })
    }
    #expect(last?.unit == "cells" && last?.total == 6)
    #expect(last?.done == 6, "the bar of the grid ends at its total")
    #expect(one.json["jobs"] == 1 && three.json["jobs"] == 3)
    // More jobs than cells are as many.
    let grid = RunGrid(
      output: path("none"), kind: "scaling", home: nil, cells: [], jobs: 9,
      device: .cpu(threads: 8), limit: nil, events: WorkflowEvents())
    #expect(grid.jobs == 1 && grid.device == .cpu(threads: 8))
  }

  /// A clock that ticks with every look at it stops all jobs at many points.
  @Test func aTimeLimitStopsAllJobs() throws {
    let one = try ladder(into: "one", jobs: 1)
    var notes: [String] = []
    var calls = 0
    var part: GridResult
    repeat {
      var looks = 0.0
      part = try ladder(
        into: "parts", jobs: 1 + calls % 3,
        limit: TimeLimit(seconds: 10) {
          looks += 1
          return looks
        }, events: WorkflowEvents(note: { notes.append($0) }))
      calls += 1
    } while part.json["finished"] != true && calls < 60
    #expect(part.json["finished"] == true && calls > 3)
    #expect(notes.contains { $0.contains("going on at step") }, "a stage was cut in the middle")
    #expect(try outcome(part, of: "parts") == outcome(one, of: "one"))
  }

  /// An error of the grid's own is thrown when the others have stopped where they can go on.
  @Test func anErrorStopsAllJobs() throws {
    let one = try ladder(into: "one", jobs: 1)
    let foreign = "parts/cells/llama-b-256/notes.txt"
    try Files.createFolder(path("parts/cells/llama-b-256"))
    folder.write(foreign, "mine")
    folder.write("parts/scaling.json", "{}")
    let error = #expect(throws: WorkflowError.self) { try ladder(into: "parts", jobs: 2) }
    #expect(error?.description.contains("llama-b-256: not empty and not a run folder") == true)
    #expect(!Files.exists(path("parts/cells/hgrn2-c-256")), "no cell is begun after an error")
    try Files.remove(path(foreign))
    let rest = try ladder(into: "parts", jobs: 2)
    #expect(try outcome(rest, of: "parts") == outcome(one, of: "one"))
  }

  /// Cells that share a conversion wait for the one that makes it; one that fails stops no other.
  @Test func conversionsAreMadeBeforeTheyAreShared() throws {
    let small = try SmallRun()
    var sections = SmallRun.sections
    sections["export"] = nil
    sections["evaluate"] =
      "{data: [dense/data/math.val.jsonl], window: 48, windows: 2, analysis_windows: 0, "
      + "decode_tokens: 2}"
    sections["sweep"] = """
      {grid: {experts: [4, 8], top_k: 2, strategy: random, router: random},
        losses: [{name: kd}, {name: plain, hidden_alignment: 0}, {name: far, cross_entropy: 1e38}]}
      """
    let pipeline = try small.pipeline([SmallRun.stage("one")], sections: sections)
    func sweep(_ name: String, jobs: Int) throws -> GridResult {
      try Sweep(
        pipeline, output: small.path(name), jobs: jobs, device: .cpu(threads: jobs), limit: nil,
        events: WorkflowEvents()
      ).execute()
    }
    let (one, four) = (try sweep("one", jobs: 1), try sweep("four", jobs: 4))
    func results(_ result: GridResult) -> [[JSON?]] {
      (result.json["cells"]?.array ?? []).map { cell in
        [
          "name", "status", "reason", "conversion", "training_free_loss", "loss", "kl_to_dense",
          "top1_agreement",
        ].map { cell[$0] }
      }
    }
    #expect(results(four) == results(one))
    let states = (four.json["cells"]?.array ?? []).compactMap { $0["status"]?.string }
    #expect(states.contains("failed") && states.contains("finished"), "\(states)")
    for name in ["4top2-kd", "4top2-plain", "8top2-kd", "8top2-plain"] {
      let file = "cells/random-random-\(name)-seed5/one/model.safetensors"
      #expect(try Files.read(small.path("four/\(file)")) == Files.read(small.path("one/\(file)")))
    }
  }
}

@Suite struct SharedWorkTests {
  /// However many threads ask, a value is made once; what fails is tried by the next who asks.
  @Test func aValueIsMadeOnceForAllThreads() throws {
    struct Absent: Error {}
    let made = Monitor(0)
    let first = SharedWork(isKept: true)
    #expect(throws: Absent.self) { try first.once("x") { () -> Int in throw Absent() } }
    let workers = try (0..<4).map { _ in try BackgroundWorker() }
    defer { for worker in workers { worker.stop() } }
    let works = Monitor((0..<4).map { _ in first.beside() })
    let found = Monitor<[Int]>([])
    for (index, worker) in workers.enumerated() {
      worker.submit {
        let own = works.withLock { $0[index] }
        let value = try own.once("x") {
          made.withLock {
            $0 += 1
            return $0
          }
        }
        found.withLock { $0.append(value) }
      }
    }
    for worker in workers { try worker.drain() }
    #expect(found.withLock { $0 } == [1, 1, 1, 1])
    #expect(try first.once("x") { 7 } == 1)
    #expect(try SharedWork().once("x") { 7 } == 7)
  }
}
