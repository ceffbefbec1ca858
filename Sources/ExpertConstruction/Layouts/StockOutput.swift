import Formats
import Models

/// What the formats of stock transformers have in common.
enum StockOutput {
  /// Why a format of softmax attention cannot hold linear attention.
  static let linearRefusal =
    "some of its layers are linear attention, which the format does not hold; use --format herd, or "
    + OutputFormat.allCases.filter { $0.make().movesEverything }.map(\.rawValue)
    .joined(separator: ", ") + " where they are of that kind"

  /// Why a format with dense attention, linear routers and one kind of mixture, whose choice has no
  /// bias, cannot hold `model`.
  /// - Parameter holdsDenseLayers: Whether the format has layers without experts, all of one width.
  static func refusal(of model: MixtureModel, holdsDenseLayers: Bool = false) -> String? {
    if let refusal = attentionRefusal(model) ?? mixtureRefusal(model) { return refusal }
    guard let block = model.uniformBlock else {
      return model.denseLayers.count == model.blocks.count
        ? noExperts
        : "its layers differ, and the format has one setting for all; use --format herd"
    }
    if !model.denseLayers.isEmpty {
      let layers = model.denseLayers.map { "\($0)" }.joined(separator: ", ")
      if !holdsDenseLayers {
        return "the MLPs of layers \(layers) are dense, and it has experts in every layer; use "
          + "--format herd, qwen2_moe or glm4_moe, or leave --keep-dense out"
      }
      if model.denseWidth == nil {
        return "the dense MLPs of layers \(layers) differ in width; use --format herd"
      }
    }
    if block.hasSelectionBias { return selectionRefusal }
    if block.rule == .gained, !model.gainsAreZero {
      return "weights 1 + p·u with trained u exist in no stock format; use --format herd"
    }
    return nil
  }

  /// Why a format of experts cannot hold a model without.
  static let noExperts = "it is made of experts and the model has none; use --format herd or llama"

  /// Why a format without a bias in the choice of experts cannot hold one.
  static let selectionRefusal =
    "experts are chosen with a balancing bias, which it has not; use --format herd, or glm4_moe where "
    + "weights are sigmoids"

  /// Why a format with dense attention cannot hold `model`.
  static func attentionRefusal(_ model: MixtureModel) -> String? {
    if let refusal = model.mixerRefusal ?? model.additionRefusal { return refusal }
    if model.configuration.contains("tpe") { return LinearFormat.encodingRefusal }
    if model.configuration.contains(NormalizedResidual.field) {
      return "its residual connections start behind the norms, and the format's before them; use "
        + "--format herd or minimax"
    }
    return model.attention.lazy.compactMap { $0 }.first.map {
      "its attention is made of experts too (\($0.kind.rawValue)), which the format does not hold; "
        + "use --format herd, jetmoe for moa, or --attention none"
    }
  }

  /// Why a format with linear routers, a fixed number of experts per token and no bias on their
  /// output, as all stock formats are, cannot hold `model`.
  static func mixtureRefusal(_ model: MixtureModel) -> String? {
    for block in model.blocks.lazy.compactMap({ $0 }) {
      if let scoring = block.routerKind.nonlinearScoring {
        return "its router scores experts by \(scoring), and the format's are linear; use "
          + "--format herd, or another --router"
      }
      if block.hasOutputBias {
        return "its MLPs end in a bias, which no stock format here has; use --format herd, or a "
          + "--recovery without a bias"
      }
      if block.scoreThreshold != nil {
        return "the number of experts varies from token to token, and the format has one for all; "
          + "use --format herd, or leave --mean-top-k out"
      }
    }
    return nil
  }

  /// Why a format whose weights are a softmax cannot hold `block`.
  static func sigmoidRefusal(_ block: MixtureBlock) -> String? {
    block.rule.isOfSigmoids
      ? "its weights are a softmax of the scores, not their sigmoids; use --format glm4_moe"
      : nil
  }

  /// Why a format without router biases cannot hold `block`.
  static func biasRefusal(_ block: MixtureBlock) -> String? {
    block.hasRouterBias
      ? "it has no router bias; use --format herd, or make the router without a bias (convert does "
        + "so by itself when given this format)"
      : nil
  }

  /// A LLaMA configuration under version 4 names, without the fields of the dense MLP.
  static func configuration(of model: MixtureModel, architecture: String, modelType: String)
    -> ConfigurationFile
  {
    var configuration = model.configuration
    configuration["architectures"] = [.string(architecture)]
    configuration["model_type"] = .string(modelType)
    let fields = ["herd", "mlp_bias", "pretraining_tp", "auto_map", "quantization_config"]
    for key in fields + HerdLayout.additionalFields { configuration[key] = nil }
    if let dtype = configuration["dtype"] {
      configuration["dtype"] = nil
      configuration["torch_dtype"] = configuration["torch_dtype"] ?? dtype
    }
    spellRotaryFields(&configuration)
    return configuration
  }

  /// Fields of LLaMA's that formats of linear attention alone have under other names or not at all.
  static let llamaFields = [
    "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "intermediate_size", "rms_norm_eps", "hidden_act", "attention_bias", "rope_theta",
    "rope_scaling", "sliding_window",
  ]

  /// `rope_parameters` as the `rope_theta` and `rope_scaling` that every version reads.
  private static func spellRotaryFields(_ configuration: inout ConfigurationFile) {
    guard var parameters = configuration["rope_parameters"]?.object else { return }
    configuration["rope_parameters"] = nil
    if let theta = parameters["rope_theta"] { configuration["rope_theta"] = theta }
    parameters["rope_theta"] = nil
    let type = parameters["rope_type"]?.string ?? "default"
    configuration["rope_scaling"] = type == "default" ? .null : .object(parameters)
  }

  /// Whether attention looks back without limit.
  static func hasFullAttention(_ model: MixtureModel) -> Bool {
    let configuration = model.configuration
    guard let window = configuration["sliding_window"], !window.isNull else { return true }
    return configuration["use_sliding_window"]?.bool == false
  }

  /// Why formats that derive the head dimension cannot hold this model.
  static func headRefusal(_ model: MixtureModel) -> String? {
    model.headDimension * model.heads == model.hidden
      ? nil
      : "its readers take head_dim as hidden_size / num_attention_heads, here it is "
        + "\(model.headDimension); use --format herd or mixtral"
  }

  /// Adds the fields every mixture configuration has, and what the routed down projections were
  /// multiplied by.
  static func addRouterFields(_ configuration: inout ConfigurationFile, foldedScale: Double) {
    configuration["router_aux_loss_coef"] = 0.001
    configuration["output_router_logits"] = false
    configuration["herd_export"] = ["folded_scale": JSON(foldedScale)]
  }
}

extension RouterKind {
  /// How a router that is not linear scores experts, in words; `nil` for a linear one.
  var nonlinearScoring: String? {
    switch self {
    case .linear: nil
    case .gatedPair: "gated pairs of rows"
    case .lengthPair: "lengths of several rows"
    case .tanhPair: "two layers with a tanh between"
    }
  }
}
