import Formats
import Models
import Numerics

/// `hgrn2` as flash-linear-attention has it.
public struct HGRN2Output: OutputLayout {
  public let name = OutputFormat.hgrn2
  public let holdsRouterBias = false
  public let movesEverything = true

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    guard let structure = model.structure else { return LinearFormat.noExperts }
    if let refusal = LinearFormat.softmaxRefusal(structure) { return refusal }
    guard case .linear(let first)? = structure.blocks.first?.mixer else { return nil }
    let (heads, dimension) = (first.heads, first.keyDimension)
    guard heads * dimension == structure.hiddenSize else {
      return "its heads together are as wide as the model, \(structure.hiddenSize), here "
        + "\(heads * dimension); use --format herd"
    }
    let layers = structure.blocks.count
    if let refusal = LinearFormat.mixerRefusal(
      model.mixers,
      mixer: { layer in
        var mixer = LinearMixerConfiguration.hgrn2(
          heads: heads, dimension: dimension, layer: layer, layers: layers)
        mixer.scale = HGRN2Layout.scale(dimension: dimension)
        if first.lowerBound == nil { mixer.decay = .channelGate(lowerBound: nil, temperature: 1) }
        return mixer
      })
    {
      return refusal
    }
    if let refusal = LinearFormat.denseWidth(structure, activation: .silu).refusal {
      return refusal
    }
    guard structure.embeddingScale == 1 else {
      return
        "its embeddings have no scale, this model's \(structure.embeddingScale); use --format herd"
    }
    return LinearFormat.frameRefusal(structure, hasNormWeights: true, epsilon: nil)
  }

  /// Never asked for: bindings say where everything is.
  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout { LayerLayout(model) }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "HGRN2ForCausalLM", modelType: name.rawValue)
    guard let structure = model.structure,
      case .linear(let mixer)? = structure.blocks.first?.mixer
    else { return configuration }
    for key in StockOutput.llamaFields { configuration[key] = nil }
    configuration["hidden_size"] = JSON(structure.hiddenSize)
    configuration["num_hidden_layers"] = JSON(structure.blocks.count)
    configuration["num_heads"] = JSON(mixer.heads)
    configuration["expand_ratio"] = JSON(mixer.keyDimension)
    configuration["attn_mode"] = "chunk"
    configuration["use_short_conv"] = false
    configuration["use_lower_bound"] = .bool(mixer.lowerBound != nil)
    configuration["intermediate_size"] = JSON(
      LinearFormat.denseWidth(structure, activation: .silu).width)
    configuration["hidden_act"] = "swish"
    configuration["elementwise_affine"] = true
    configuration["norm_eps"] = JSON(structure.normEpsilon)
    configuration["tie_word_embeddings"] = .bool(structure.tiedEmbeddings)
    configuration["max_position_embeddings"] = JSON(structure.maximumPositions)
    return configuration
  }
}
