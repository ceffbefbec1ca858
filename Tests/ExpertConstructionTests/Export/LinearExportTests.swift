import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// Linear models in the formats of their authors.
@Suite struct LinearExportTests {
  private let folder = TemporaryFolder()

  private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

  private func linearize(
    _ dense: String, _ name: String = "linear", mixer: LinearizedMixer = .minimax,
    _ edit: (inout LinearizationSettings) -> Void = { _ in }
  ) throws -> String {
    var settings = LinearizationSettings()
    (settings.mixer, settings.slopes, settings.kept) = (mixer, mixer.slopes, .layers([1]))
    edit(&settings)
    let checkpoint = try Checkpoint(folder: dense, access: .pread)
    let plan = try LinearizationPlan(
      configuration: ConfigurationFile(contentsOf: "\(dense)/config.json"),
      checkpoint: checkpoint, settings)
    _ = try Linearization(plan, checkpoint: checkpoint).run(to: path(name), force: true)
    return path(name)
  }

  private func convert(
    _ dense: String, _ name: String = "moe", experts: Int = 4, topK: Int = 2, shared: Int = 0,
    router: RouterName = .random, rule: CombinationRule = .renormalizedSoftmax, scale: Double = 1
  ) throws -> String {
    let (source, checkpoint) = try openDense(dense)
    var settings = ConversionSettings(
      experts: experts, topK: topK, shared: shared, strategy: .random, router: router, rule: rule)
    settings.scale = scale
    _ = try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: Context()
    ).run(to: path(name), force: true)
    return path(name)
  }

  /// A folder of a format, with random weights, as F32.
  private func stock(_ config: JSONObject, _ name: String) throws -> String {
    let layout = try CheckpointLayouts.layout(
      for: ConfigurationFile(path: "config.json", object: config))
    try Files.createFolder(path(name))
    try TinyCheckpoint.write(
      config, tensors: layout.bindings.map { ($0.tensor, $0.shape) }, to: path(name))
    return path(name)
  }

  /// A stock folder as training saves it.
  private func saved(
    _ stock: String, _ name: String, _ edit: (inout ConfigurationFile) -> Void = { _ in }
  ) throws -> String {
    let (loader, source) = try openModel(stock)
    var config = HerdLayout.config(for: loader.layout, from: source)
    edit(&config)
    if Files.exists(path(name)) { try Files.remove(path(name)) }
    try Files.createFolder(path(name))
    try config.write(to: "\(path(name))/config.json")
    let context = try Context()
    try ModelWriter(layout: HerdLayout(config)).write(
      loader.model(in: context), to: path(name), elementType: .f32, in: context)
    return path(name)
  }

  private func logits(_ path: String) throws -> [Float] {
    let context = try Context(device: .cpu(threads: 1))
    return context.read(
      try openModel(path).loader.model(in: context).logits(
        [0, 5, 9, 2, 15, 7, 1, 1, 3], in: context))
  }

  private func refusal(_ herd: String, _ format: OutputFormat) throws -> String {
    do {
      _ = try openExport(herd, to: format)
      return "held"
    } catch let error as ConstructionError { return error.description }
  }

  private static func expectSameTensors(_ first: String, _ second: String) throws {
    let repeated = Set(try openModel(second).loader.layout.repeated.map(\.tensor))
    let (first, second) = try (Checkpoint(folder: first), Checkpoint(folder: second))
    let names = Set(second.tensors.map(\.name))
    #expect(repeated.isSubset(of: names))
    #expect(Set(first.tensors.map(\.name)) == names.subtracting(repeated))
    for tensor in first.tensors {
      let bytes = try first.withBytes(of: tensor.name) { Array($0) }
      #expect(try second.withBytes(of: tensor.name) { Array($0) } == bytes, "\(tensor.name)")
    }
  }

  /// What linearize makes, with dense MLPs or experts made before or after, is read back bit for bit.
  @Test func aLinearizedModelIsHeldByMiniMax() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let linear = try linearize(dense)
    let models = [
      linear, try convert(linear, "linear-moe"),
      try linearize(convert(dense, "moe"), "moe-linear"),
      try convert(linear, "scaled", scale: 2),
    ]
    for model in models {
      let stock = model + "-stock"
      let export = try openExport(model, to: .minimax)
      #expect(export.rounding == nil)
      try export.run(to: stock)
      #expect(try logits(stock) == logits(model), "\(model)")
      #expect(try logits(stock).allSatisfy { $0.isFinite })
      #expect(!Files.exists("\(stock)/\(ByteLedger.fileName)"))
      #expect(Files.exists("\(stock)/tokenizer.json"))
    }
    let config = try ConfigurationFile(contentsOf: "\(linear)-stock/config.json")
    #expect(config["layer_types"] == ["linear_attention", "full_attention"])
    #expect(config["mlp_alpha_factor"]?.double == 4.0.squareRoot().squareRoot())
    #expect(config["rope_theta"]?.double == 500_000 && config["num_local_experts"] == 1)
    #expect(config["normalized_residual"] == nil && config["herd"] == nil)
    let checkpoint = try Checkpoint(folder: "\(linear)-stock")
    #expect(checkpoint[MiniMaxLayout.router(0)]?.shape == [1, 8])

    // A head's queries, keys and values follow each other; query heads 2 and 3 had key head 1.
    func rows(_ folder: String, _ name: String) throws -> [[UInt16]] {
      let all = try Checkpoint(folder: folder).withBytes(of: "model.layers.0.self_attn.\(name)") {
        Array($0.bindMemory(to: UInt16.self))
      }
      return stride(from: 0, to: all.count, by: 8).map { Array(all[$0..<$0 + 8]) }
    }
    let fused = try rows("\(linear)-stock", "qkv_proj.weight")
    let (q, k) = try (rows(dense, "q_proj.weight"), rows(dense, "k_proj.weight"))
    for head in 0..<4 {
      #expect(Array(fused[6 * head..<6 * head + 2]) == Array(q[2 * head..<2 * head + 2]))
      #expect(
        Array(fused[6 * head + 2..<6 * head + 4]) == Array(k[head / 2 * 2..<head / 2 * 2 + 2]))
    }
  }

  /// What a format's folder holds comes back in the same bytes from what training saves.
  @Test(arguments: [OutputFormat.minimax, .transnormer, .hgrn2])
  func aFolderIsWrittenAsItWasRead(format: OutputFormat) throws {
    let source = try stock(Self.config(format), "source")
    let again = path("again")
    try openExport(saved(source, "herd"), to: format).run(to: again)
    try Self.expectSameTensors(source, again)
    let (first, second) = try (openModel(source).loader.layout, openModel(again).loader.layout)
    #expect(first.configuration == second.configuration)
    #expect(type(of: first) == type(of: second))
  }

  private static func config(_ format: OutputFormat) -> JSONObject {
    switch format {
    case .transnormer:
      [
        "model_type": "transnormer", "decoder_embed_dim": 8, "decoder_layers": 2,
        "decoder_attention_heads": 2, "hidden_dim": 8, "glu_dim": 12, "vocab_size": 16,
        "linear_use_lrpe_list": [1, 0], "norm_type": "simplermsnorm",
      ]
    case .hgrn2:
      [
        "model_type": "hgrn2", "hidden_size": 8, "num_hidden_layers": 2, "num_heads": 2,
        "expand_ratio": .null, "intermediate_size": 12, "norm_eps": 0.001, "vocab_size": 16,
      ]
    default:
      [
        "model_type": "minimax", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 3,
        "num_experts_per_tok": 2, "vocab_size": 16, "linear_attn_alpha_factor": 1.5,
        "layer_types": ["linear_attention", "full_attention"],
      ]
    }
  }

  @Test func whatMiniMaxCannotHoldIsRefused() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    func refusal(_ herd: String) throws -> String { try self.refusal(herd, .minimax) }
    #expect(try refusal(convert(dense, "softmax")).contains("all layers here are softmax"))
    let halo = try refusal(linearize(dense, mixer: .lightning))
    #expect(halo.contains("in layer 0 its query map is none, where the format has silu"))
    let linear = try linearize(dense)
    #expect(try refusal(linear) == "held")
    #expect(try refusal(convert(linear, experts: 3, shared: 1)).contains("no shared units"))
    #expect(try refusal(convert(linear, rule: .gained)).contains("sum to one"))
    #expect(try refusal(convert(linear, rule: .softmax)).contains("renormalises"))
    #expect(try refusal(convert(linear, rule: .sigmoid)).contains("sigmoids"))

    /// What the model with another configuration and the same tensors is refused for.
    func edited(_ edit: (inout ConfigurationFile, inout JSONObject) -> Void) throws -> String {
      let linear = try linearize(dense)
      var config = try ConfigurationFile(contentsOf: "\(linear)/config.json")
      var herd = try config.section("herd").object
      var blocks = try config.section("herd").sections("blocks").map(\.object)
      var mixer = blocks[0]["mixer"]?.object ?? [:]
      edit(&config, &mixer)
      blocks[0]["mixer"] = .object(mixer)
      herd["blocks"] = .array(blocks.map { .object($0) })
      config["herd"] = .object(herd)
      try config.write(to: "\(linear)/config.json")
      return try refusal(linear)
    }
    #expect(try edited { config, _ in config["normalized_residual"] = nil }.contains("as LLaMA's"))
    #expect(try edited { _, mixer in mixer["scale"] = 0.5 }.contains("scale is 0.5"))
    #expect(
      try edited { _, mixer in mixer["norm_epsilon"] = nil }.contains("the model's, where the"))
    #expect(try edited { config, _ in config["embedding_scale"] = 2 }.contains("multiplied by 2"))
    let slopes = DecaySlopes.alibi.values(heads: 4, layer: 0, layers: 2)
    let other = try edited { _, mixer in
      mixer["decay"] = [
        "kind": "fixed", "family": "minimax", "slopes": .array(slopes.map { JSON($0 * 1.1) }),
      ]
    }
    #expect(other.contains("in head 0, where the format computes minimax's"))
    // Slopes are numbers, whatever they are called.
    let named = try edited { _, mixer in
      var decay = mixer["decay"]?.object ?? [:]
      decay["family"] = "trained"
      mixer["decay"] = .object(decay)
    }
    #expect(named == "held")
    for format in OutputFormat.allCases where ![.herd, .minimax].contains(format) {
      #expect(try self.refusal(linear, format) != "held", "\(format)")
    }
  }

  /// Residual connections that LLaMA has not are lost in no format, nor is softmax attention.
  @Test func otherFormatsRefuseNormalizedResiduals() throws {
    var config = Self.config(.minimax)
    config["layer_types"] = ["full_attention", "full_attention"]
    let herd = try saved(stock(config, "softmax"), "herd")
    for format in OutputFormat.allCases where format != .herd {
      #expect(try refusal(herd, format) != "held", "\(format)")
    }
    #expect(try refusal(herd, .mixtral).contains("start behind the norms"))
    #expect(throws: ConstructionError.self) {
      let (loader, config) = try openModel(herd)
      _ = try GGUFExport(loader, configuration: config, ends: [])
    }
    #expect(throws: ConstructionError.self) {
      let (loader, config) = try openModel(herd)
      _ = try Densification(loader, configuration: config)
    }
  }

  /// A folder of one softmax layer in herd's own format, as training from scratch makes it.
  private func softmax(
    _ name: String, experts: Bool, _ edit: (inout ModelConfiguration) -> Void = { _ in }
  ) throws -> String {
    let attention = AttentionConfiguration(
      heads: 2, keyHeads: 2, headDimension: 4, rope: RoPEConfiguration(theta: 10000))
    let mixture = MixtureConfiguration(
      experts: 2, topK: 1, expertWidth: 6, combination: .renormalizedSoftmax(scale: 1))
    var model = ModelConfiguration(
      vocabularySize: 16, hiddenSize: 8, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 64,
      blocks: [
        BlockConfiguration(
          mixer: .attention(attention),
          mlp: experts ? .mixture(mixture) : .dense(DenseConfiguration(width: 12)))
      ])
    edit(&model)
    var config: JSONObject = [
      "model_type": "herd", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
      "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 16,
      "rms_norm_eps": JSON(1e-5), "tie_word_embeddings": true, "max_position_embeddings": 64,
      "rope_theta": 10000.0,
    ]
    HerdLayout.setAdditions(of: model, in: &config)
    config["herd"] = [
      "format_version": 1, "base_model_type": "llama",
      "blocks": .array(model.blocks.map { ["mixer": $0.mixer.json, "mlp": $0.mlp.json] }),
    ]
    return try stock(config, name)
  }

  /// What surrounds softmax attention in models of linear families is lost in no format.
  @Test func formatsOfSoftmaxRefuseWhatLlamaHasNot() throws {
    func gguf(_ herd: String) throws -> String {
      let (loader, config) = try openModel(herd)
      do {
        _ = try GGUFExport(loader, configuration: config, ends: [])
        return "held"
      } catch let error as ConstructionError { return error.description }
    }
    func dense(_ herd: String) throws -> String {
      let (loader, config) = try openModel(herd)
      do {
        _ = try Densification(loader, configuration: config, weightsAsOne: true)
        return "held"
      } catch let error as ConstructionError { return error.description }
    }
    let (plain, plainMixture) = try (
      softmax("plain", experts: false), softmax("plain-moe", experts: true)
    )
    #expect(try refusal(plain, .llama) == "held" && gguf(plain) == "held")
    #expect(try refusal(plainMixture, .mixtral) == "held" && gguf(plainMixture) == "held")
    #expect(try dense(plainMixture) == "held")
    let cases: [(String, (inout ModelConfiguration) -> Void)] = [
      ("multiplied by 3.0", { $0.embeddingScale = 3 }),
      ("norms without weights", { $0.hasNormWeights = false }),
      (
        "MLPs whose gate is none instead of silu",
        { $0.blocks[0].mlp = .dense(DenseConfiguration(width: 12, activation: .none)) }
      ),
    ]
    for (index, (words, edit)) in cases.enumerated() {
      let herd = try softmax("dense-\(index)", experts: false, edit)
      #expect(try refusal(herd, .llama).contains(words), "\(words)")
      #expect(try gguf(herd).contains(words), "\(words)")
      guard index < 2 else { continue }
      let mixture = try softmax("moe-\(index)", experts: true, edit)
      for format in OutputFormat.ofSoftmax where ![.herd, .llama].contains(format) {
        #expect(try refusal(mixture, format).contains(words), "\(format): \(words)")
      }
      #expect(try gguf(mixture).contains(words) && dense(mixture).contains(words), "\(words)")
    }
  }

  @Test func whatDecodersCannotHoldIsRefused() throws {
    let transnormer = try stock(Self.config(.transnormer), "transnormer")
    let epsilon = try saved(transnormer, "herd") { $0["rms_norm_eps"] = 0.00001 }
    #expect(try refusal(epsilon, .transnormer).contains("ε 1e-06, this model's 1e-05"))
    #expect(try refusal(saved(transnormer, "herd"), .hgrn2).contains("in layer 0 its"))
    let hgrn2 = try stock(Self.config(.hgrn2), "hgrn2")
    #expect(try refusal(saved(hgrn2, "herd"), .transnormer).contains("in layer 0 its"))
    var config = Self.config(.hgrn2)
    for key in ["hidden_size", "num_hidden_layers", "num_heads", "intermediate_size", "norm_eps"] {
      config[key] = nil
    }
    for (key, value) in [
      ("decoder_embed_dim", 8), ("decoder_layers", 2), ("glu_dim", 12), ("expand_ratio", 4),
    ] { config[key] = JSON(value) }
    let original = try saved(stock(config, "original"), "herd")
    #expect(try refusal(original, .hgrn2).contains("output norm is unweighted"))
  }
}
