import Formats
import Glibc

/// `granitemoeshared`: top-k of the scores, softmax over the chosen ones; shared units without a gate.
public struct GraniteMoESharedOutput: OutputLayout {
  public let name = OutputFormat.granitemoeshared
  public let holdsRouterBias = false

  /// Makes all chosen scores equal to rounding, so that their softmax is `1/k` each, while their
  /// order stays: the factor is a power of two.
  static let flattening = 0x1p-30

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    if let refusal = StockOutput.refusal(of: model) { return refusal }
    guard let block = model.uniformBlock else { return nil }
    if let refusal = StockOutput.biasRefusal(block) { return refusal }
    if let refusal = StockOutput.sigmoidRefusal(block) { return refusal }
    if let refusal = StockOutput.headRefusal(model) { return refusal }
    if !StockOutput.hasFullAttention(model) {
      return "it has no sliding-window attention; use --format herd or mixtral"
    }
    if block.rule == .softmax {
      return "it always renormalises the chosen weights; use --format herd or qwen2_moe"
    }
    return nil
  }

  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout {
    let block = model.block
    let geometry = block.geometry
    let prefix = "model.layers.\(index)."
    let flattened = block.rule == .gained && geometry.topK > 1
    var layout = LayerLayout(model)
    layout.place(
      .router, prefix + "block_sparse_moe.router.layer.weight",
      scale: flattened ? Self.flattening : 1)
    layout.place(
      (0..<geometry.experts).flatMap { [.expert($0, .gate), .expert($0, .up)] },
      prefix + "block_sparse_moe.input_linear.weight",
      shape: [geometry.experts, 2 * geometry.expertWidth, model.hidden])
    layout.place(
      (0..<geometry.experts).map { .expert($0, .down) },
      prefix + "block_sparse_moe.output_linear.weight",
      shape: [geometry.experts, model.hidden, geometry.expertWidth], scale: Self.downScale(block))
    if geometry.shared > 0 {
      layout.place(
        [.shared(.gate), .shared(.up)], prefix + "shared_mlp.input_linear.weight",
        shape: [2 * geometry.sharedWidth, model.hidden])
      layout.place(.shared(.down), prefix + "shared_mlp.output_linear.weight")
    }
    return layout
  }

  /// What the routed down projections are multiplied by: softmax weights sum to one.
  static func downScale(_ block: MixtureBlock) -> Double {
    block.rule == .gained ? Double(block.geometry.topK) : block.scale
  }

  public func additionalZeros(in model: MixtureModel) -> [TensorDeclaration] {
    guard !model.biasedProjections.isEmpty, !model.biasedProjections.contains("o") else {
      return []
    }
    return model.blocks.indices.map {
      TensorDeclaration(
        name: "model.layers.\($0).self_attn.o_proj.bias", elementType: model.elementType,
        shape: [model.hidden])
    }
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "GraniteMoeSharedForCausalLM", modelType: name.rawValue)
    guard let block = model.uniformBlock else { return configuration }
    let geometry = block.geometry
    configuration["attention_bias"] = .bool(!model.biasedProjections.isEmpty)
    configuration["intermediate_size"] = JSON(geometry.expertWidth)
    configuration["shared_intermediate_size"] = JSON(geometry.sharedWidth)
    configuration["num_local_experts"] = JSON(geometry.experts)
    configuration["num_experts_per_tok"] = JSON(geometry.topK)
    configuration["embedding_multiplier"] = 1.0
    configuration["attention_multiplier"] = JSON(pow(Double(model.headDimension), -0.5))
    configuration["residual_multiplier"] = 1.0
    configuration["logits_scaling"] = 1.0
    StockOutput.addRouterFields(&configuration, foldedScale: Self.downScale(block))
    return configuration
  }
}
