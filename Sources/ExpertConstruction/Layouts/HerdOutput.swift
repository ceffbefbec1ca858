import Formats
import Models

/// This toolkit's own format: lossless, with router biases, gains and unfolded scales.
public struct HerdOutput: OutputLayout {
  public let name = OutputFormat.herd
  public let holdsRouterBias = true

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? { nil }

  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout {
    let block = model.block
    var layout = LayerLayout(model)
    for tensor in MixtureTensor.all(of: block) {
      layout.place(tensor, Self.name(of: tensor, layer: index))
    }
    return layout
  }

  /// A tensor's name.
  public static func name(of tensor: MixtureTensor, layer: Int) -> String {
    let prefix = "model.layers.\(layer).mlp."
    return switch tensor {
    case .router: prefix + "router.weight"
    case .routerUp: prefix + "router.up_weight"
    case .routerBias: prefix + "router.bias"
    case .selectionBias: prefix + "router.selection_bias"
    case .routerGain: prefix + "router.gain"
    case .expert(let expert, let projection):
      prefix + "experts.\(expert).\(projection.rawValue)_proj.weight"
    case .shared(let projection): prefix + "shared_expert.\(projection.rawValue)_proj.weight"
    case .outputBias: prefix + "bias"
    case .dense(let projection): prefix + "\(projection.rawValue)_proj.weight"
    }
  }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = model.configuration
    configuration["architectures"] = ["HerdForCausalLM"]
    configuration["model_type"] = "herd"
    let width = try configuration.positive("intermediate_size")
    let blocks = model.blocks.enumerated().map { layer, block -> JSON in
      [
        "mixer": model.mixerJSON(ofLayer: layer),
        "mlp": Self.describe(
          block, denseWidth: model.denseWidths.isEmpty ? width : model.denseWidths[layer]),
      ]
    }
    var herd: JSONObject = [
      "format_version": 1, "base_model_type": .string(model.modelType), "blocks": .array(blocks),
      "construction": .object(model.construction),
    ]
    // How attention became linear before.
    herd["linearization"] = try model.configuration.optionalSection("herd")?["linearization"]
    configuration["herd"] = .object(herd)
    return configuration
  }

  private static func describe(_ block: MixtureBlock?, denseWidth: Int) -> JSON {
    let mlp =
      block.map { MLPConfiguration.mixture($0.configuration) }
      ?? .dense(DenseConfiguration(width: denseWidth))
    return mlp.json
  }
}
