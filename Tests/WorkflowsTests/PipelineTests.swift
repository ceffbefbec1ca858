import Formats
import Glibc
import TestSupport
import Testing
import Workflows

@Suite struct PipelineTests {
  private let folder = TemporaryFolder()

  private func read(_ text: String) throws -> Pipeline {
    try Pipeline(contentsOf: folder.write("project/pipeline.yaml", text))
  }

  private func problem(_ text: String) -> String {
    do {
      _ = try read(text)
      return "accepted"
    } catch {
      return "\(error)"
    }
  }

  private static let stage =
    "{name: one, data: [{file: a.jsonl}], tokens: 10, learning_rate: 2e-3}"

  private static let weighted =
    "{name: one, data: [{file: a.jsonl}, {file: x/b.jsonl}], tokens: 10, "
    + "domain_weighting: {every: 5, reference: teacher}}"

  @Test func everySection() throws {
    let pipeline = try read(
      """
      seed: 7
      model: ../llama
      synthesize: {records: 5}
      convert: {experts: 6, top_k: 2, shared: 2, strategy: random, router: random, data: [x.txt]}
      stages: [\(Self.stage)]
      evaluate: {data: [v.jsonl], window: 64, tasks: [t.jsonl], task_limit: 5}
      export: [granitemoeshared]
      """)
    #expect(pipeline.name == "project")
    #expect(pipeline.seed == 7)
    #expect(pipeline.synthesize?.records == 5 && pipeline.synthesize?.heldOut == 200)
    #expect(pipeline.convert?.experts == 6 && pipeline.convert?.shared == 2)
    #expect(pipeline.convert?.exports == ["granitemoeshared"])
    #expect(pipeline.stages.map(\.name) == ["one"])
    #expect(pipeline.stages.first?.learningRate == 2e-3)
    #expect(pipeline.evaluate?.window == 64 && pipeline.evaluate?.windows == 48)
    #expect(pipeline.evaluate?.tasks == ["t.jsonl"] && pipeline.evaluate?.taskLimit == 5)
    #expect(pipeline.json["convert"]?["strategy"] == "random")
    // A folder stands for the pipeline.yaml in it.
    #expect(try Pipeline(contentsOf: "\(folder.path)/project").json == pipeline.json)
  }

  @Test func pathsStartAtThePipelineFile() throws {
    let pipeline = try read("model: ../llama")
    #expect(try pipeline.resolve("a/b.jsonl", run: "out") == "\(folder.path)/project/a/b.jsonl")
    #expect(try pipeline.resolve("/data/b.jsonl", run: "out") == "/data/b.jsonl")
    #expect(try pipeline.resolve("{run}/data/b.jsonl", run: "out") == "out/data/b.jsonl")
    let value = try #require(getenv("PATH").map { String(cString: $0) })
    #expect(try pipeline.resolve("{PATH}/b", run: "out") == "\(value)/b")
    let error = #expect(throws: WorkflowError.self) {
      try pipeline.resolve("{HERD_NO_SUCH_VARIABLE}/b", run: "out")
    }
    #expect(error?.description.contains("{HERD_NO_SUCH_VARIABLE}") == true)
  }

  @Test(arguments: [
    ("modell: x", "did you mean \"model\"?"),
    ("model: x\nconvert: {topk: 2}", "did you mean \"top_k\"?"),
    ("model: x\nevaluate: {data: [a], windw: 2}", "did you mean \"window\"?"),
    ("model: x\nstages: [{name: a, data: [{file: f}], token: 1}]", "did you mean tokens?"),
    ("model: x\nconvert: {strategy: sequental}", "did you mean \"sequential\"?"),
    ("model: x\nconvert: {router: magic}", "random, centroid, regressed"),
    ("model: x\nconvert: {}\nexport: [mixtrl]", "did you mean \"mixtral\"?"),
  ])
  func misspeltNamesGetASuggestion(text: String, words: String) {
    let problem = problem(text)
    #expect(problem.contains(words), "\(problem)")
    #expect(problem.contains("pipeline.yaml"), "\(problem)")
    #expect(!problem.contains("\n"))
  }

  @Test(arguments: [
    ("name: a", "either \"model\""),
    (
      "model: x\nsynthesize: {records: 1}\n"
        + "initialize: {hidden_size: 8, layers: 1, heads: 2, width: 8}", "either \"model\""
    ),
    ("initialize: {hidden_size: 8, layers: 1, heads: 2, width: 8}", "needs \"synthesize\""),
    ("model: x\nstages: [\(stage), \(stage)]", "stage name \"one\" is taken"),
    ("model: x\nstages: [\(stage.replacing("one", with: "data"))]", "\"data\" is taken"),
    ("model: x\nstages: [\(stage.replacing("one", with: "a/b"))]", "a/b"),
    ("model: x\nexport: [mixtral]", "add \"convert\""),
    ("model: x\nconvert: {}\nexport: [herd]", "an export starts from"),
    ("model: x\nconvert: {format: mixtral}\nexport: [mixtral]", "herd's own format"),
    ("- a\n- b", "mapping of keys"),
    ("model: x\nstages: [\(weighted)]", "stage one: domain_weighting compares losses on held-out"),
    (
      "model: x\nstages: [\(weighted)]\nevaluate: {data: [a.val.jsonl, c.jsonl]}",
      "no held-out text of the domain b; add a file b.* to \"evaluate\" (it has a, c)"
    ),
  ])
  func whatDoesNotGoTogether(text: String, words: String) {
    let problem = problem(text)
    #expect(problem.contains(words), "\(problem)")
  }

  @Test(arguments: [
    ("seed: -1\nmodel: x", "\"seed\""),
    ("seed: 1.5\nmodel: x", "\"seed\""),
    ("model: 3", "\"model\""),
    ("model: x\nsynthesize: {records: 0}", "\"records\""),
    ("model: x\nsynthesize: {records: 5, held_out: -2}", "\"held_out\""),
    ("model: x\nsynthesize: {records: 5, vocabulary: 100}", "\"vocabulary\""),
    ("model: x\nevaluate: {data: []}", "\"data\""),
    ("model: x\nevaluate: {data: [a], window: 0}", "\"window\""),
    ("model: x\nevaluate: {data: [a], exact_match: -1}", "\"exact_match\""),
    ("model: x\nevaluate: {data: [a], task_limit: 0}", "\"task_limit\""),
    ("model: x\nconvert: {experts: many}", "\"experts\""),
    ("model: x\nstages: {name: a}", "\"stages\""),
    ("model: x\nstages: [\(stage.replacing("2e-3", with: "fast"))]", "learning_rate"),
    ("model: x\nstages: [\(stage.replacing("tokens: 10", with: "tokens: 0"))]", "tokens"),
    (
      "synthesize: {records: 1}\ninitialize: {hidden_size: 9, layers: 1, heads: 2, width: 8}",
      "\"heads\""
    ),
    (
      "synthesize: {records: 1}\n"
        + "initialize: {hidden_size: 8, layers: 1, heads: 2, width: 8, max_positions: -4}",
      "\"max_positions\""
    ),
    (
      "synthesize: {records: 1}\n"
        + "initialize: {hidden_size: 8, layers: 1, heads: 2, width: 8, rope_theta: 0}",
      "\"rope_theta\""
    ),
  ])
  func badNumbersAndKinds(text: String, key: String) {
    let problem = problem(text)
    #expect(problem.contains(key) && problem.contains("pipeline.yaml"), "\(problem)")
    #expect(!problem.contains("\n"))
  }

  @Test func aMissingFileIsNamed() {
    #expect(throws: FileError.self) { try Pipeline(contentsOf: "\(folder.path)/none.yaml") }
  }
}
