import Formats
import Models
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct OutputLayoutTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var format: OutputFormat
    var topK = 1
    var shared = 1
    var rule = CombinationRule.gained
    var bias = false
    var gainsAreZero = true
    var attentionBiases: Set<String> = []
    /// Words of the refusal; empty when the format fits.
    var refusal: [String]
    var testDescription: String { "\(format) top-\(topK) shared \(shared) \(rule) \(refusal)" }
  }

  @Test(arguments: [
    Case(format: .herd, topK: 2, bias: true, gainsAreZero: false, refusal: []),
    Case(format: .mixtral, shared: 0, refusal: []),
    Case(format: .mixtral, refusal: ["shared", "granitemoeshared"]),
    Case(format: .mixtral, topK: 2, shared: 0, refusal: ["sum to one", "granitemoeshared"]),
    Case(format: .mixtral, topK: 2, shared: 0, rule: .renormalizedSoftmax, refusal: []),
    Case(format: .mixtral, shared: 0, rule: .softmax, refusal: ["renormalises", "qwen2_moe"]),
    Case(format: .mixtral, shared: 0, bias: true, refusal: ["router bias", "herd"]),
    Case(
      format: .mixtral, shared: 0, attentionBiases: ["q", "k", "v"],
      refusal: ["attention biases", "qwen2_moe"]),
    Case(format: .mixtral, shared: 0, gainsAreZero: false, refusal: ["trained u", "herd"]),
    Case(format: .granitemoeshared, topK: 3, refusal: []),
    Case(format: .granitemoeshared, shared: 0, rule: .renormalizedSoftmax, refusal: []),
    Case(format: .granitemoeshared, rule: .softmax, refusal: ["renormalises", "qwen2_moe"]),
    Case(format: .granitemoeshared, bias: true, refusal: ["router bias"]),
    Case(format: .qwen2_moe, refusal: []),
    Case(format: .qwen2_moe, topK: 2, rule: .softmax, refusal: []),
    Case(format: .qwen2_moe, topK: 2, refusal: ["granitemoeshared"]),
    Case(format: .qwen2_moe, shared: 0, refusal: ["shared expert", "mixtral"]),
    Case(
      format: .qwen2_moe, attentionBiases: ["q", "k", "v", "o"],
      refusal: ["attention output", "granitemoeshared"]),
    Case(format: .qwen2_moe, attentionBiases: ["q", "k", "v"], refusal: []),
    Case(format: .glm4_moe, topK: 2, rule: .renormalizedSigmoid, refusal: []),
    Case(format: .glm4_moe, shared: 0, rule: .sigmoid, refusal: []),
    Case(format: .glm4_moe, rule: .renormalizedSoftmax, refusal: ["sigmoids", "granitemoeshared"]),
    Case(format: .glm4_moe, rule: .sigmoid, bias: true, refusal: ["router bias"]),
    Case(
      format: .glm4_moe, rule: .sigmoid, attentionBiases: ["q", "k", "v", "o"],
      refusal: ["q, k and v"]),
    Case(format: .jetmoe, shared: 0, refusal: ["--attention moa"]),
    Case(format: .granitemoeshared, rule: .renormalizedSigmoid, refusal: ["glm4_moe"]),
    Case(format: .llama, refusal: ["no experts", "prune", "herd"]),
  ])
  func refusesWhatItCannotHold(_ test: Case) throws {
    let reason = test.format.make().refusal(of: try model(test))
    if test.refusal.isEmpty {
      #expect(reason == nil)
    } else {
      for word in test.refusal { #expect(reason?.contains(word) == true, "\(reason ?? "fits")") }
    }
  }

  /// Numbers keep their spelling, unknown fields stay, stock formats get version 4 names.
  @Test(arguments: OutputFormat.convertible.filter { $0 != .llama })
  func configurationKeepsLexemes(format: OutputFormat) throws {
    let model = try model(Case(format: format, shared: format == .mixtral ? 0 : 1, refusal: []))
    let written = try format.make().configuration(of: model)
    let text = written.serialized()
    #expect(text.contains("\"rms_norm_eps\": 1e-05"))
    #expect(text.contains("\"rope_theta\": 500000.0"))
    #expect(text.contains("2.50"))
    #expect(written["model_type"]?.string == format.rawValue)
    #expect(written["vocab_size"]?.int == 16)
    if format == .herd {
      #expect(written["herd"]?["blocks"]?.array?.count == 2)
      #expect(written["herd"]?["blocks"]?.array?.first?["mlp"]?["expert_width"]?.int == 6)
      #expect(written["rope_parameters"] != nil)
    } else {
      #expect(written["rope_parameters"] == nil)
      #expect(written["rope_scaling"]?.isNull == true)
      #expect(written["torch_dtype"]?.string == "bfloat16")
      #expect(written["mlp_bias"] == nil)
      #expect(text.contains("\"router_aux_loss_coef\": 0.001"))
      #expect(text.contains("\"folded_scale\": 1.0"))
    }
  }

  /// What herd's own configuration says is read back as it was.
  @Test func herdsOwnConfigurationIsWholeAndReadBack() throws {
    var model = try model(Case(format: .herd, topK: 2, rule: .sigmoid, refusal: []))
    var block = try #require(model.blocks[0])
    (block.hasSelectionBias, block.hasOutputBias, block.scoreThreshold) = (true, true, 0.25)
    block.routerKind = .tanhPair
    model.blocks = [block, nil]
    let layout = try HerdLayout(HerdOutput().configuration(of: model))
    #expect(layout.configuration.blocks.map(\.mlp).first == .mixture(block.configuration))
    #expect(layout.configuration.blocks.map(\.mlp).last == .dense(DenseConfiguration(width: 24)))
  }

  @Test func widthsAndCountsAreUnderEachFormatsNames() throws {
    func fields(_ format: OutputFormat, shared: Int = 1) throws -> ConfigurationFile {
      try format.make().configuration(of: model(Case(format: format, shared: shared, refusal: [])))
    }
    let mixtral = try fields(.mixtral, shared: 0)
    #expect(mixtral["intermediate_size"]?.int == 6)
    #expect(mixtral["num_local_experts"]?.int == 4)
    #expect(mixtral["sliding_window"]?.isNull == true)
    let granite = try fields(.granitemoeshared)
    #expect(granite["shared_intermediate_size"]?.int == 6)
    #expect(granite["num_local_experts"]?.int == 3)
    #expect(granite["attention_multiplier"]?.double == 0.5.squareRoot())
    #expect(granite.serialized().contains("\"logits_scaling\": 1.0"))
    let qwen = try fields(.qwen2_moe)
    #expect(qwen["moe_intermediate_size"]?.int == 6)
    #expect(qwen["num_experts"]?.int == 3)
    #expect(qwen["norm_topk_prob"]?.bool == true)
    #expect(qwen["qkv_bias"]?.bool == true)
  }

  /// Each byte of each declared tensor is either placed once or zero.
  @Test(arguments: OutputFormat.convertible.filter { $0 != .llama })
  func placesCoverEveryDeclaredTensor(format: OutputFormat) throws {
    let model = try model(
      Case(format: format, topK: 2, shared: format == .mixtral ? 0 : 2, refusal: []))
    let shape = try #require(model.shape(ofLayer: 1))
    let layout = format.make().layer(1, of: shape)
    var covered: [String: [Range<Int>]] = [:]
    for (tensor, place) in layout.places {
      let size =
        tensor.shape(in: shape.block, hidden: shape.hidden).reduce(1, *)
        * (tensor.isRouter ? 4 : 2)
      covered[place.name, default: []].append(place.byteOffset..<place.byteOffset + size)
    }
    for declaration in layout.declarations {
      let total = declaration.shape.reduce(1, *) * declaration.elementType.bitWidth / 8
      if layout.zeros.contains(declaration.name) {
        #expect(covered[declaration.name] == nil)
        continue
      }
      var end = 0
      for range in (covered[declaration.name] ?? []).sorted(by: { $0.lowerBound < $1.lowerBound }) {
        #expect(range.lowerBound == end)
        end = range.upperBound
      }
      #expect(end == total, "\(declaration.name)")
    }
  }

  @Test func weightOneIsExactInGraniteMoEShared() throws {
    let model = try model(Case(format: .granitemoeshared, topK: 2, refusal: []))
    let layout = GraniteMoESharedOutput().layer(0, of: try #require(model.shape(ofLayer: 0)))
    #expect(layout.places[.router]?.scale == 0x1p-30)
    #expect(layout.places[.expert(0, .down)]?.scale == 2)
    #expect(layout.places[.shared(.down)]?.scale == 1)
    // Softmax over scores of that size is uniform to the last bit.
    let scores: [Float] = [40 * 0x1p-30, -35 * 0x1p-30]
    let powers = scores.map { Float(1) + $0 }
    #expect(powers[0] / (powers[0] + powers[1]) == 0.5)
  }

  private func model(_ test: Case) throws -> MixtureModel {
    let folder = TemporaryFolder()
    let path = try SmallCheckpoint().write(in: folder)
    let units = 4
    let geometry = try SplitGeometry(
      width: 24, experts: units - test.shared, topK: test.topK, shared: test.shared)
    let block = MixtureBlock(
      geometry: geometry, rule: test.rule, scale: 1, hasRouterBias: test.bias)
    return MixtureModel(
      configuration: try ConfigurationFile(contentsOf: "\(path)/config.json"),
      modelType: "llama", hidden: 8, heads: 4, headDimension: 2,
      biasedProjections: test.attentionBiases, blocks: [block, block], elementType: .bf16,
      gainsAreZero: test.gainsAreZero, construction: [:])
  }
}
