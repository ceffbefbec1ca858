import Formats
import Glibc
import Models
import TestSupport
import Testing
import Workflows

/// Pipelines that train from scratch.
@Suite struct PretrainTests {
  private let folder = TemporaryFolder()

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func pipeline(_ text: String) throws -> Pipeline {
    try Pipeline(contentsOf: folder.write("new.yaml", text))
  }

  /// A pipeline that only makes a model.
  private func making(_ initialize: String) throws -> Pipeline {
    try pipeline(
      "seed: 3\nsynthesize: {records: 20, held_out: 5, vocabulary: 300}\ninitialize: \(initialize)\n"
    )
  }

  private static let sizes = "hidden_size: 16, layers: 2, heads: 2, width: 24"

  @Test(arguments: [
    ("llama", ModelFamily.llama), ("tnl", .tnl), ("transnormer", .transnormer),
    ("hgrn2", .hgrn2), ("cosformer2", .cosformer2), ("eos", .eos), ("delta", .eos),
    ("hybrid", .tnl),
  ])
  func theProjectsPipelinesAreRead(name: String, family: ModelFamily) throws {
    let pipeline = try Pipeline(
      contentsOf: "\(PackageFolder.path)/Pipelines/pretrain/\(name).yaml")
    try pipeline.checkStartsFromScratch()
    let initialize = try #require(pipeline.initialize)
    #expect(initialize.architecture == family && pipeline.name == "pretrain-\(name)")
    #expect(initialize.blocks.count == 4)
    let softmax = initialize.blocks.count {
      if case .attention = $0.mixer { true } else { false }
    }
    #expect(softmax == (name == "llama" ? 4 : name == "hybrid" ? 1 : 0))
    #expect(initialize.hasPositionEncoding == (name == "cosformer2"))
    let experts = initialize.blocks.count(where: \.isMixture)
    #expect(experts == (name == "hybrid" ? 4 : 0))
    _ = try RunEstimate(pipeline, output: path("none"), device: .cpu(threads: 1))
  }

  @Test func pipelinesThatStartFromACheckpointAreRefused() throws {
    for text in ["model: x\nstages: []", "synthesize: {records: 1}\ninitialize: {\(Self.sizes)}"] {
      let error = #expect(throws: WorkflowError.self) {
        try pipeline(text).checkStartsFromScratch()
      }
      #expect(error?.description.contains("herd run") == true)
    }
  }

  /// A line that names file and key, and what the value may be.
  @Test(arguments: [
    ("architecture: rnn", "\"architecture\"", "hgrn2"), ("size: 2B", "\"size\"", "385M"),
    ("hidden_size: 0", "\"hidden_size\"", "from 1"),
    ("hidden_size: wide", "\"hidden_size\"", "integer"),
    ("layers: 0", "\"layers\"", "from 1"), ("layers: 5000", "\"layers\"", "1024"),
    ("heads: 3", "\"heads\"", "divisor"), ("heads: 16", "\"heads\"", "even quotient"),
    ("key_heads: 0", "\"heads\"", "key_heads"), ("key_heads: 4", "\"heads\"", "key_heads"),
    ("width: -1", "\"width\"", "from 1"), ("max_positions: 0", "\"max_positions\"", "from 1"),
    ("rope_theta: 0", "\"rope_theta\"", "above 0"), ("rope_theta: x", "\"rope_theta\"", "number"),
    ("softmax_layers: [2]", "\"softmax_layers\"", "below 2"),
    ("softmax_layers: [1, 0]", "\"softmax_layers\"", "ascending"),
    ("softmax_layers: 1", "\"softmax_layers\"", "array"),
    ("experts: 5", "\"experts\"", "divisor"), ("experts: -1", "\"experts\"", "divisor"),
    ("{experts: 4, top_k: 5}", "\"experts\"", "top_k 5"), ("top_k: many", "\"top_k\"", "integer"),
    ("mixer: {decay: {kind: none}}", "\"mixer\"", "eos"), ("architecture: eos", "\"mixer\"", "eos"),
    ("{architecture: eos, mixer: {decay: {kind: odd}}}", "\"kind\"", "channel_gate"),
    (
      "{architecture: eos, mixer: {decay: {kind: fixed, family: steep}}}", "\"family\"", "alibi"
    ),
    ("{architecture: eos, mixer: {update: delta}}", "update", "query_key_l2_norm"),
    (
      "{architecture: eos, mixer: {update: delta, query_key_l2_norm: true, decay: {kind: outer}}}",
      "update", "all value channels share"
    ),
    (
      "{architecture: eos, mixer: {decay: {kind: selective, temperature: 16}}}",
      "\"temperature\"", "absent"
    ),
    ("{architecture: eos, mixer: {heads: 0}}", "\"heads\"", "from 1"),
    ("{architecture: eos, mixer: {deacy: 1}}", "\"deacy\"", "decay"),
    ("{architecture: eos, mixer: {gate: {activation: tanh}}}", "\"activation\"", "sigmoid"),
    ("tpe: 1", "\"tpe\"", "true or false"), ("tpe: true", "tpe", "softmax"),
    ("{architecture: tnl, softmax_layers: [0, 1], tpe: true}", "tpe", "leave tpe out"),
    ("init: zeros", "\"init\"", "xmixers"), ("hiden_size: 8", "hiden_size", "hidden_size"),
  ])
  func badValuesGiveALine(change: String, key: String, words: String) throws {
    let more = change.hasPrefix("{") ? String(change.dropFirst().dropLast()) : change
    let changed = more.prefix { $0 != ":" }
    let kept = Self.sizes.split(separator: ", ").filter { !$0.hasPrefix("\(changed):") }
    let text = (kept + [Substring(more)]).joined(separator: ", ")
    let error = #expect(throws: (any Error).self) { try making("{\(text)}") }
    let problem = error.map { "\($0)" } ?? ""
    #expect(problem.contains(key) && problem.contains(words), "\(problem)")
    #expect(problem.contains("new.yaml") && !problem.contains("\n"), "\(problem)")
  }

  @Test func headsTooWideForTheOperatorAreNamed() throws {
    let error = #expect(throws: WorkflowError.self) {
      try making(
        "{architecture: cosformer2, hidden_size: 512, layers: 1, heads: 2, width: 8}")
    }
    #expect(error?.description.contains("beyond 256") == true)
  }

  private static func training(_ architecture: String, more: String = "") -> String {
    """
    name: new
    seed: 5
    synthesize: {records: 40, held_out: 20, vocabulary: 300\(more)}
    initialize: {architecture: \(architecture), \(sizes), max_positions: 512}
    stages:
      - name: one
        data: [{file: "{run}/data/conversation.train.jsonl"}]
        tokens: 1152
        sequence_length: 48
        batch_sequences: 4
        micro_batch: 2
        learning_rate: 3e-3
        losses: {cross_entropy: 1, load_balance: 0}
        checkpoint_every: 2
    evaluate: {data: ["{run}/data/conversation.val.jsonl"], window: 48, windows: 2}

    """
  }

  private func run(_ pipeline: Pipeline, _ output: String) throws -> Run.Result {
    try Run(pipeline, output: path(output), device: .cpu(threads: 2)).execute()
  }

  /// The folder as a kill after the fourth of six steps leaves it.
  @Test(arguments: ["hgrn2", "cosformer2"])
  func aStoppedRunEndsWithTheSameBits(architecture: String) throws {
    let pipeline = try pipeline(Self.training(architecture))
    let result = try run(pipeline, "a")
    #expect(
      result.steps.object?.keys
        == ["synthesize", "initialize", "stage:one", "evaluate:one", "report"])
    #expect(result.steps["evaluate:one"]?["mean"]?.double?.isFinite == true)
    let expected = try Files.read(path("a/one/model.safetensors"))
    #expect(try expected != Files.read(path("a/initial/model.safetensors")))

    for name in try Files.names(inFolder: path("a/one")) where name != "checkpoint" {
      try Files.remove(path("a/one/\(name)"))
    }
    try Files.remove(path("a/one/checkpoint/step-6"))
    var state = try ConfigurationFile(contentsOf: path("a/run.json"))
    var steps = try state.section("steps").object
    for step in ["stage:one", "evaluate:one", "report"] { steps[step] = nil }
    state["steps"] = .object(steps)
    try state.write(to: path("a/run.json"))
    var notes: [String] = []
    _ = try Run(
      pipeline, output: path("a"), device: .cpu(threads: 2),
      events: WorkflowEvents(note: { notes.append($0) })
    ).execute()
    #expect(notes.contains("one: going on at step 5 of 6"))
    #expect(try Files.read(path("a/one/model.safetensors")) == expected)
  }

  /// Texts of facts to be found again are made, trained on and asked for.
  @Test func recallTasksGoThroughTheRun() throws {
    let text = Self.training(
      "hgrn2", more: ", needle: {records: 6, length: 128}, recall: {records: 6, length: 256}"
    )
    .replacing(
      "[{file: \"{run}/data/conversation.train.jsonl\"}]",
      with: """
        [{file: "{run}/data/needle.train.jsonl"}, {file: "{run}/data/recall.train.jsonl", weight: 2}]
        """
    )
    .replacing("sequence_length: 48", with: "sequence_length: 512")
    .replacing("tokens: 1152", with: "tokens: 4096")
    .replacing(
      "windows: 2}",
      with:
        "windows: 2, tasks: [needle, recall], lengths: [256, 300], depths: [0, 100], task_limit: 2}"
    )
    let result = try run(pipeline(text), "a")
    let tasks = try #require(result.steps["evaluate:one"]?["tasks"])
    #expect(tasks["needle"]?["samples"]?.int == 8 && tasks["recall"]?["samples"]?.int == 4)
    let needle = try Files.read(path("a/data/needle.train.jsonl"))
    #expect(needle.count { $0 == UInt8(ascii: "\n") } == 6)
    let log = String(decoding: try Files.read(path("a/run.jsonl")), as: UTF8.self)
    #expect(log.contains("recall"))
  }

  private func floats(_ folder: String, _ tensor: String) throws -> [Float] {
    try Checkpoint(folder: path("\(folder)/initial")).withBytes(of: tensor) { bytes in
      (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
  }

  /// Deviation and largest size of values.
  private func size(_ values: [Float]) -> (deviation: Double, largest: Double) {
    let squares = values.reduce(0) { $0 + Double($1) * Double($1) }
    return (
      (squares / Double(values.count)).squareRoot(), values.reduce(0) { max($0, Double(abs($1))) }
    )
  }

  @Test func weightsBeginAsSaid() throws {
    for name in ["normal", "fla", "xmixers"] {
      _ = try run(
        making(
          "{architecture: cosformer2, hidden_size: 64, layers: 2, heads: 2, width: 48, init: \(name)}"
        ), name)
    }
    let (query, output) = (
      "model.layers.1.self_attn.q_proj.weight", "model.layers.1.self_attn.o_proj.weight"
    )
    let uniform = (6.0 / 128).squareRoot()
    #expect(abs(size(try floats("normal", query)).deviation - 0.02) < 2e-3)
    #expect(abs(size(try floats("normal", output)).deviation - 0.01) < 1e-3)
    for (name, gain) in [("fla", exp2(-2.5)), ("xmixers", 0.01)] {
      let (deviation, largest) = size(try floats(name, query))
      #expect(largest <= gain * uniform * 1.0001 && largest > 0.95 * gain * uniform, "\(name)")
      #expect(abs(deviation - gain * uniform / 3.0.squareRoot()) < 0.05 * deviation, "\(name)")
    }
    #expect(size(try floats("fla", output)).largest > 0.03)
    #expect(size(try floats("fla", "model.layers.1.mlp.down_proj.weight")).deviation < 0.012)
    for name in [output, "model.tpe.o_proj.weight"] {
      #expect(size(try floats("xmixers", name)).largest == 0)
    }
    for name in ["model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight"] {
      let (deviation, largest) = size(try floats("xmixers", name))
      #expect(abs(deviation - 0.02) < 2e-3 && largest <= 0.06, "\(name)")
    }
    for name in ["fla", "xmixers", "normal"] {
      #expect(try floats(name, "model.tpe.shrink") == [Float](repeating: 1, count: 64))
      #expect(try floats(name, "model.tpe.expand") == [Float](repeating: 1, count: 64))
      #expect(try floats(name, "model.tpe.decay") == [0, 0])
    }
    let config = try ConfigurationFile(contentsOf: path("fla/initial/config.json"))
    #expect(config["tpe"] == ["heads": 2])
  }

  /// Rates 1, 2 and so on times steps from 0.001 to 0.1 over all value channels, in the first token too.
  @Test func ratesAndStepsBeginAsS4D() throws {
    let (heads, dim, width) = (2, 3, 4)
    for kind in ["elementwise", "selective"] {
      _ = try run(
        making(
          "{architecture: eos, hidden_size: 16, layers: 1, heads: \(heads), width: 8, mixer: {key_dimension: \(dim), value_dimension: \(width), decay: {kind: \(kind)}}}"
        ), kind)
    }
    let prefix = "model.layers.0.self_attn."
    let (rates, own) = (
      try floats("elementwise", "\(prefix)log_rate"), try floats("selective", "\(prefix)log_rate")
    )
    let bias = try floats("selective", "\(prefix)step_proj.bias")
    #expect(rates.count == heads * dim * width && own.count == rates.count && bias.count == 8)
    for place in rates.indices {
      let (head, channel, column) = (
        place / (dim * width), place / width % dim, place % width
      )
      let step = 0.001 * pow(100, Double(head * width + column) / 7)
      let rate = exp(Double(own[place]))
      #expect(abs(rate - Double(channel + 1)) < 1e-5)
      #expect(abs(exp(Double(rates[place])) / (rate * step) - 1) < 1e-5)
      #expect(abs(log1p(exp(Double(bias[head * width + column]))) / step - 1) < 1e-5)
    }
  }
}
