import Formats
import Models
import TestSupport
import Testing
import Workflows

/// Pipelines that make attention linear.
@Suite struct LinearizeRunTests {
  private let small: SmallRun

  init() throws { small = try SmallRun() }

  private static let aligned = """
    - name: one
      data:
        - {file: dense/data/math.train.jsonl, weight: 1}
      tokens: 1152
      sequence_length: 48
      batch_sequences: 4
      micro_batch: 2
      train: ["*.self_attn.*"]
      learning_rate: 3e-3
      schedule: {kind: cosine, warmup_steps: 1}
      losses: {cross_entropy: 0, local_alignment: 1, load_balance: 0}
      checkpoint_every: 2
    """

  private func pipeline(_ linearize: String) throws -> Pipeline {
    var sections = SmallRun.sections
    sections["export"] = nil
    sections["linearize"] = linearize
    return try small.pipeline([Self.aligned, SmallRun.stage("two")], sections: sections)
  }

  @Test(arguments: ["{keep_softmax: 1}", "{keep_softmax: none, after_convert: true}"])
  func aRunAlignsAndResumesBitByBit(linearize: String) throws {
    let pipeline = try pipeline(linearize)
    let follows = pipeline.linearize?.followsConversion == true
    let result = try small.run(pipeline)
    let made = ["linearize", "convert"]
    #expect(
      result.steps.object?.keys.filter { made.contains($0) } == (follows ? made.reversed() : made))
    for name in ["dense", "linearized", "converted", "one", "two"] {
      #expect(result.steps["evaluate:\(name)"]?["mean"]?.double?.isFinite == true, "\(name)")
    }
    let losses = try small.log().filter { $0["stage"] == "one" && $0["event"] == "step" }
      .compactMap { $0["terms"]?["local_alignment"]?.double }
    #expect(losses.count == 6 && losses[5] < losses[0])

    // Only mixers move in the first stage.
    func tensor(_ folder: String, _ name: String) throws -> [UInt8] {
      try Checkpoint(folder: small.path("moe/\(folder)"))
        .withBytes(of: "model.layers.0.\(name)") { Array($0) }
    }
    let start = follows ? "linearized" : "converted"
    #expect(
      try tensor(start, "self_attn.g_proj.weight") != tensor("one", "self_attn.g_proj.weight"))
    let expert = "mlp.experts.0.up_proj.weight"
    #expect(try tensor(start, expert) == tensor("one", expert))

    let expected = try Files.read(small.path("moe/two/model.safetensors"))
    try small.interruptStageTwo()
    _ = try small.run(pipeline)
    #expect(try Files.read(small.path("moe/two/model.safetensors")) == expected)
  }

  /// A pipeline makes MiniMax-01's layers and experts, trains them and writes what transformers loads.
  @Test(arguments: [false, true])
  func aRunEndsInMiniMaxsFormat(follows: Bool) throws {
    var sections = SmallRun.sections
    sections["export"] = "[minimax]"
    sections["linearize"] = "{mixer: minimax, keep_softmax: 1, after_convert: \(follows)}"
    let result = try small.run(small.pipeline([Self.aligned], sections: sections))
    #expect(result.steps["export:minimax"]?["path"] != nil)
    let (own, stock) = try (
      CheckpointInspection(small.path("moe/one")).configuration,
      CheckpointInspection(small.path("moe/export/minimax")).configuration
    )
    #expect(stock.residual == own.residual && stock.residual != nil)
    #expect(stock.blocks.map(\.mixer) == own.blocks.map(\.mixer))
    #expect(stock.blocks.allSatisfy { $0.isMixture })
  }

  /// A pipeline that trains a new model in one stage and exports it.
  private func scratch(
    _ name: String, _ architecture: String, export: String, more: String = ""
  ) throws -> Pipeline {
    try Pipeline(
      contentsOf: small.folder.write(
        "\(name).yaml",
        """
        seed: 3
        synthesize: {records: 60, held_out: 40, vocabulary: 300}
        initialize: {architecture: \(architecture), hidden_size: 64, layers: 2, heads: 4, width: 64, max_positions: 96}
        \(more)
        stages:
        \(SmallRun.stage("one").replacing("dense/data/math.train.jsonl", with: "'{run}/data/math.train.jsonl'")
          .replacing("dense/data/code.train.jsonl", with: "'{run}/data/code.train.jsonl'")
          .replacing("cross_entropy: 0.5, distillation: 0.5, hidden_alignment: 1", with: "cross_entropy: 1")
          .replacing("evaluate_every: 3", with: "evaluate_every: 0"))
        export: [\(export)]

        """))
  }

  /// HGRN2 as flash-linear-attention has it, of heads of 16 channels.
  private static let hgrn2 =
    "eos, mixer: {expand: complement, decay: {kind: channel_gate, lower_bound: true}, query_map: silu, scale: 0.25, output_norm: full}"

  /// From scratch in the layers of MiniMax-01, TransNormerLLM and HGRN2, to their authors' formats.
  @Test(arguments: [("minimax", "minimax"), ("transnormer", "transnormer"), (hgrn2, "hgrn2")])
  func aNewModelEndsInItsFormat(architecture: String, format: String) throws {
    let output = small.path(format)
    _ = try Run(
      scratch(format, architecture, export: format), output: output, device: .cpu(threads: 1)
    ).execute()
    let (own, stock) = try (
      CheckpointInspection("\(output)/one"), CheckpointInspection("\(output)/export/\(format)")
    )
    #expect(stock.modelType == format && stock.configuration == own.configuration)
  }

  /// Formats that cannot hold the trained model are named before anything is written.
  @Test func exportsAreCheckedBeforeTraining() throws {
    func refusal(_ pipeline: Pipeline) throws -> String {
      let output = small.path("refused")
      do {
        _ = try Run(pipeline, output: output, device: .cpu(threads: 1)).execute()
        return "held"
      } catch {
        #expect(!Files.exists(output), "\(error)")
        return "\(error)"
      }
    }
    func linearized(_ linearize: String?, convert: Bool) throws -> String {
      var sections = SmallRun.sections
      sections["export"] = "[minimax]"
      sections["linearize"] = linearize
      if !convert { sections["convert"] = nil }
      return try refusal(small.pipeline([Self.aligned], sections: sections))
    }
    let halo = "could not be exported to minimax: in layer"
    #expect(try linearized("{}", convert: false).contains(halo))
    #expect(try linearized("{}", convert: true).contains(halo))
    #expect(try linearized("{after_convert: true}", convert: true).contains(halo))
    #expect(try linearized(nil, convert: false).contains("add \"linearize\""))
    for (architecture, format, words) in [
      ("llama", "transnormer", "layer 0 is softmax"), ("llama", "minimax", "all layers here are"),
      ("hgrn2", "hgrn2", "its scale is 1"), ("tnl", "transnormer", "in layer 0"),
      ("minimax", "hgrn2", "in layer 0"),
    ] {
      let found = try refusal(scratch("refused", architecture, export: format))
      #expect(
        found.contains("could not be exported to \(format)") && found.contains(words), "\(found)")
    }
  }

  /// A dense model that the run makes itself is known when it is there, still before training.
  @Test func exportsOfAnInitializedModelAreCheckedBeforeTraining() throws {
    let output = small.path("made")
    let pipeline = try scratch(
      "made", "llama", export: "minimax", more: "linearize: {keep_softmax: 1}")
    let error = #expect(throws: (any Error).self) {
      try Run(pipeline, output: output, device: .cpu(threads: 1)).execute()
    }
    #expect(error.map { "\($0)".contains("could not be exported to minimax") } == true)
    #expect(Files.exists("\(output)/initial") && !Files.exists("\(output)/linearized"))
  }

  @Test func wrongSectionsAreNamed() throws {
    for (section, words) in [
      ("{keep_softmax: some}", "25%"), ("{keep_softmax: auto}", "add \"data\""),
      ("{slopes: steep}", "alibi"), ("{keep: 1}", "keep"), ("{mixer: mamba}", "minimax"),
      ("{mixer: minimax, slopes: alibi}", "minimax slopes"),
    ] {
      let error = #expect(throws: (any Error).self) { try pipeline(section) }
      #expect(error.map { "\($0)".contains(words) } == true, "\(section)")
    }
  }

  /// Layers are measured on recall and on text; the table names the one that stays.
  @Test func automaticLayersAreMeasured() throws {
    let path = small.folder.write(
      "long.yaml",
      """
      seed: 3
      synthesize: {records: 60, held_out: 40, vocabulary: 300}
      initialize: {hidden_size: 32, layers: 2, heads: 4, key_heads: 2, width: 64, max_positions: 256}

      """)
    _ = try Run(
      Pipeline(contentsOf: path), output: small.path("long"), device: .cpu(threads: 1)
    ).execute()
    var settings = LinearizeSettings()
    settings.keepSoftmax = "auto"
    settings.autoShare = 0.5
    settings.data = [small.path("long/data/math.train.jsonl")]
    settings.alignmentTokens = 1024
    let result = try ModelLinearization(
      source: small.path("long/initial"), output: small.path("hybrid"), settings: settings, seed: 2
    ).execute(on: .cpu(threads: 2))
    let importance = try #require(result.importance)
    #expect(importance.layers.count == 2)
    #expect(importance.layers.allSatisfy { $0.recallLoss > 0 && $0.textLoss > 0 })
    #expect(result.kept.count == 1 && result.linear.count == 1)
    #expect(result.text.contains("stays softmax"))
    let best = importance.scores[0] > importance.scores[1] ? 0 : 1
    if importance.scores[0] != importance.scores[1] { #expect(result.kept == [best]) }
  }
}
