import Formats
import Numerics
import TestSupport
import Testing

@testable import Workflows

/// Whole ladders of models of a few thousand weights.
@Suite struct ScalingTests {
  private let folder = TemporaryFolder()

  private static let section =
    "{architectures: [llama, hgrn2], sizes: \(LadderText.sizes), tokens: [128, 256, 512]}"

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func pipeline(
    _ section: String = section, stage: String = "", rest: String = ""
  ) throws -> Pipeline {
    try LadderText.pipeline(section, path: folder.path, stage: stage, rest: rest)
  }

  private func ladder(
    _ pipeline: Pipeline, into name: String = "ladder", limit: TimeLimit? = nil,
    note: @escaping (String) -> Void = { _ in }
  ) throws -> GridResult {
    try Scaling(
      pipeline, output: path(name), device: .cpu(threads: 1), limit: limit,
      events: WorkflowEvents(note: note)
    ).execute()
  }

  private func text(_ name: String) throws -> String {
    String(decoding: try Files.read(path(name)), as: UTF8.self)
  }

  /// A clock that ticks with every look at it ends the ladder at many points, also within a stage.
  @Test func callsWithATimeLimitAddUpToTheSameLadder() throws {
    let whole = try ladder(pipeline(), into: "whole")
    #expect(whole.json["finished"] == true)
    let cells = whole.json["cells"]?.array ?? []
    #expect(cells.count == 18)
    #expect(
      cells.prefix(4).compactMap { $0["name"]?.string } == [
        "llama-a-128", "hgrn2-a-128", "llama-b-128", "hgrn2-b-128",
      ])
    for cell in cells {
      for key in ["loss", "training_loss", "compute", "parameters", "tokens"] {
        #expect(cell[key]?.double ?? 0 > 0, "\(cell["name"]?.string ?? ""): \(key)")
      }
      let own = cell["architecture"] == "llama" ? 2e-3 : 1e-3
      #expect(cell["learning_rate"]?.double == (cell["size"] == "b" ? own : 4e-3))
      // Of a finished cell the weights go, the record stays.
      let names = try Files.names(inFolder: path("whole/cells/\(cell["name"]?.string ?? "")"))
      #expect(names.sorted() == ["report.html", "report.md", "run.json", "run.jsonl"])
    }
    #expect(
      whole.json["text"]?["data"]?.array?.compactMap { $0["file"]?.string } == [
        "{run}/data/conversation.train.jsonl", "{run}/data/math.train.jsonl",
      ])
    for words in ["N_opt", "3.7087 C^-0.0798", "not be compared", "vocabulary: 300 tokens"] {
      #expect(whole.text.contains(words.replacing("not be", with: "cannot be")), "\(words)")
    }
    let fits = whole.json["fits"]
    for name in ["llama", "hgrn2"] {
      #expect(fits?[name]?["formula"]?.string?.hasPrefix("72 D l d²") == true)
      for law in ["loss", "parameters", "tokens"] {
        #expect(fits?[name]?[law]?["published"]?["exponent"]?.double != nil)
        let isFitted = fits?[name]?[law]?["exponent"]?.double != nil
        #expect(isFitted != (fits?[name]?[law]?["reason"] != nil), "a number or a reason")
      }
    }

    var notes: [String] = []
    var calls = 0
    var part: GridResult
    repeat {
      var looks = 0.0
      part = try ladder(
        pipeline(),
        limit: TimeLimit(seconds: 14) {
          looks += 1
          return looks
        }, note: { notes.append($0) })
      calls += 1
      if part.json["finished"] != true {
        #expect(part.text.contains("run the same command again to go on"))
        #expect(Files.exists(path("ladder/report.html")))
      }
    } while part.json["finished"] != true && calls < 60
    #expect(part.json["finished"] == true && calls > 4)
    #expect(notes.contains { $0.contains("going on at step") }, "a stage was cut in the middle")
    func losses(_ result: GridResult) -> [[Double?]] {
      (result.json["cells"]?.array ?? []).map { [$0["loss"]?.double, $0["training_loss"]?.double] }
    }
    #expect(losses(part) == losses(whole))
    #expect(part.json["fits"] == whole.json["fits"])

    // Again nothing is done, and a report made again is the same.
    let html = try text("whole/report.html")
    #expect(html.contains("<svg") && html.contains("cosformer2") == false)
    let again = try ladder(pipeline(), into: "whole")
    #expect(again.text == whole.text && again.text.contains("all 18 cells are finished; see"))
    try Files.remove(path("whole/report.html"))
    let made = try ReportMaking(path("whole")).execute()
    #expect(try text("whole/report.html") == html)
    #expect(made.text.hasPrefix(whole.text))

    // Settings that change are named.
    let error = #expect(throws: WorkflowError.self) {
      try ladder(pipeline(stage: ", weight_decay: 0.1"), into: "whole")
    }
    #expect(error?.description.contains("(stages[0].weight_decay)") == true)
  }

  /// A tokenizer may be another folder's, and models may be kept.
  @Test func aTokenizerOfAnotherFolder() throws {
    let section = "{architectures: [tnl], sizes: \(LadderText.sizes), tokens: [64]}"
    _ = try ladder(pipeline(section))
    let rest = "initialize: {tokenizer: ladder/shared/initial, max_positions: 64}"
    let kept = section.dropLast() + ", keep_models: true}"
    let result = try ladder(pipeline(String(kept), rest: rest), into: "second")
    #expect(result.json["finished"] == true)
    let model = path("second/cells/tnl-c-64/train")
    #expect(try ModelFolder(model).configuration.maximumPositions == 64)
    #expect(
      try Files.read("\(model)/tokenizer.json")
        == Files.read(path("ladder/shared/initial/tokenizer.json")))
    // Laws of three cells have no numbers, but say why.
    #expect(
      result.text.contains("tnl: no L(C): ") && result.text.contains("tnl: no N_opt and D_opt"))
    let missing = #expect(throws: WorkflowError.self) {
      try ladder(pipeline(section, rest: "initialize: {tokenizer: none}"), into: "third")
    }
    #expect(missing?.description.contains("no tokenizer.json") == true)
    #expect(!Files.exists(path("third")))
  }

  @Test func repeatedTextIsRefused() throws {
    let section = "{architectures: [tnl], sizes: \(LadderText.sizes), tokens: [64, 1000000]}"
    let error = #expect(throws: WorkflowError.self) { try ladder(pipeline(section)) }
    let words = error?.description ?? ""
    #expect(words.contains("1000000 tokens is ") && words.contains(" epochs of {run}/data/"))
    #expect(words.contains("at most 4 are allowed: give at most"))
    #expect(!Files.exists(path("ladder/cells")))
    // What is advised is whole steps, which are not rounded up beyond it.
    let advice = words.split(separator: "give at most ").last?.prefix { $0.isNumber }
    let tokens = try #require(advice.flatMap { Int($0) })
    #expect(tokens > 0 && tokens % 128 == 0)
    // A smaller budget goes on in the same folder.
    let smaller = section.replacing(", 1000000", with: "")
    #expect(try ladder(pipeline(smaller)).json["finished"] == true)
  }

  @Test func anEstimateListsEveryCell() throws {
    let estimate = try Scaling(
      pipeline(), output: path("ladder"), device: .cpu(threads: 1)
    ).estimate()
    #expect(estimate.lines.count == 18 && estimate.tokens == 2 * 3 * 896)
    #expect(estimate.lines[0].hasPrefix("llama-a-128: "))
    #expect(estimate.lines[0].contains("PFLOP/s-days"))
    #expect(!Files.exists(path("ladder")))
  }

  @Test(arguments: [
    ("{architectures: [gla], sizes: [], tokens: [1]}", "llama, tnl, hgrn2, cosformer2"),
    ("{architectures: [tnl, tnl], sizes: SIZES, tokens: [1]}", "architectures, each once"),
    ("{architectures: [tnl], sizes: [], tokens: [1]}", "sizes with names of their own"),
    ("{architectures: [tnl], sizes: SIZES, tokens: [1, 1]}", "numbers of tokens, each once"),
    ("{architectures: [tnl], sizes: SIZES, tokens: [0]}", "at least 1"),
    ("{architectures: [tnl], sizes: SIZES, tokens: [127, 126]}", "the same number of steps"),
    ("{architectures: [tnl], sizes: SIZES, token: [1]}", "did you mean \"tokens\"?"),
    (
      "{architectures: [tnl], sizes: [{name: x, hidden_size: 8, layers: 1, heads: 2, width: 8, "
        + "learning_rate: {tln: 1}}], tokens: [1]}", "did you mean \"tnl\"?"
    ),
    (
      "{architectures: [tnl], sizes: [{name: a/b, hidden_size: 8, layers: 1, heads: 2, width: 8}], "
        + "tokens: [1]}", "letters, digits, - and _"
    ),
    (
      "{architectures: [tnl], sizes: [{name: x, hidden_size: 9, layers: 1, heads: 2, width: 8}], "
        + "tokens: [1]}", "(cell tnl-x-1)"
    ),
  ])
  func badSections(section: String, words: String) {
    let section = section.replacing("SIZES", with: LadderText.sizes)
    let error = #expect(throws: (any Error).self) {
      try Scaling(pipeline(section), output: path("ladder")).cells()
    }
    let problem = error.map { "\($0)" } ?? ""
    #expect(problem.contains(words) && !problem.contains("\n"), "\(problem)")
  }

  @Test(arguments: [
    (", tokens: 5", "", "takes one stage, without \"tokens\""),
    (", learning_rat: 1", "", "did you mean"),
    ("", "model: x", "goes with no \"model\""),
    ("", "convert: {}", "goes with no \"convert\""),
    ("", "initialize: foo", "is no section"),
    ("", "initialize: {tokenizer: 5}", "is no folder"),
    ("", "initialize: {layers: 2}", "\"layers\" is not among them"),
    ("", "initialize: {experts: 2}", "\"experts\" is not among them"),
    ("", "initialize: {max_positions: 8}", "exceeds the models' 8 positions"),
    ("", "initialize: {rope_theta: 0}", "(cell llama-a-128)"),
  ])
  func badPipelines(stage: String, rest: String, words: String) {
    let error = #expect(throws: (any Error).self) {
      try Scaling(pipeline(stage: stage, rest: rest), output: path("ladder")).cells()
    }
    let problem = error.map { "\($0)" } ?? ""
    #expect(problem.contains(words) && !problem.contains("\n"), "\(problem)")
  }

  @Test func aLadderIsNoRun() throws {
    let ladder = try pipeline()
    let run = #expect(throws: WorkflowError.self) { try Run(ladder) }
    #expect(run?.description.contains("herd scaling") == true)
    let pretrain = #expect(throws: WorkflowError.self) { try ladder.checkStartsFromScratch() }
    #expect(pretrain?.description.contains("herd scaling") == true)
    let sweep = #expect(throws: WorkflowError.self) { try Sweep(ladder).cells() }
    #expect(sweep?.description.contains("no \"sweep\" section") == true)
    let plain = try Pipeline(path: "p.yaml", object: ["model": "x"])
    let none = #expect(throws: WorkflowError.self) { try Scaling(plain).cells() }
    #expect(none?.description.contains("no \"scaling\" section") == true)
    folder.write("foreign/file", [1])
    let foreign = #expect(throws: WorkflowError.self) { try self.ladder(ladder, into: "foreign") }
    #expect(foreign?.description.contains("not a scaling folder") == true)
  }
}
