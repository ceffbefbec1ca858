import Formats
import Models
import Numerics

/// `transnormer`: TransNormerLLM as released.
public struct TransNormerOutput: OutputLayout {
  public let name = OutputFormat.transnormer
  public let holdsRouterBias = false
  public let movesEverything = true

  /// The layout; it has no settings.
  public init() {}

  public func refusal(of model: MixtureModel) -> String? {
    guard let structure = model.structure else { return LinearFormat.noExperts }
    if let refusal = LinearFormat.softmaxRefusal(structure) { return refusal }
    guard case .linear(let first)? = structure.blocks.first?.mixer else { return nil }
    let layers = structure.blocks.count
    if let refusal = LinearFormat.mixerRefusal(
      model.mixers,
      mixer: { layer in
        var mixer = LinearMixerConfiguration.transnormer(
          heads: first.heads, dimension: first.keyDimension, layer: layer, layers: layers)
        // Any layer may have it.
        if case .linear(let own) = structure.blocks[layer].mixer, own.positions == .lrpe {
          mixer.positions = .lrpe
        } else {
          mixer.positions = .none
        }
        return mixer
      })
    {
      return refusal
    }
    if let refusal = LinearFormat.denseWidth(structure, activation: .none).refusal {
      return refusal
    }
    let scales = [1, Double(structure.hiddenSize).squareRoot()]
    guard scales.contains(structure.embeddingScale) else {
      return "its embeddings are multiplied by \(scales[1]) or 1, this model's by "
        + "\(structure.embeddingScale); use --format herd"
    }
    return LinearFormat.frameRefusal(
      structure, hasNormWeights: false, epsilon: TransNormerLayout.normEpsilon)
  }

  /// Never asked for: bindings say where everything is.
  public func layer(_ index: Int, of model: MixtureShape) -> LayerLayout { LayerLayout(model) }

  public func configuration(of model: MixtureModel) throws -> ConfigurationFile {
    var configuration = StockOutput.configuration(
      of: model, architecture: "TransnormerForCausalLM", modelType: name.rawValue)
    guard let structure = model.structure,
      case .linear(let mixer)? = structure.blocks.first?.mixer
    else { return configuration }
    for key in StockOutput.llamaFields { configuration[key] = nil }
    configuration["decoder_embed_dim"] = JSON(structure.hiddenSize)
    configuration["decoder_layers"] = JSON(structure.blocks.count)
    configuration["decoder_attention_heads"] = JSON(mixer.heads)
    configuration["hidden_dim"] = JSON(mixer.heads * mixer.keyDimension)
    configuration["glu_dim"] = JSON(
      LinearFormat.denseWidth(structure, activation: .none).width)
    configuration["linear_act_fun"] = "silu"
    configuration["linear_use_lrpe_list"] = .array(
      structure.linearMixers.map { $0?.positions == .lrpe ? 1 : 0 })
    configuration["no_scale_embedding"] = .bool(structure.embeddingScale == 1)
    configuration["norm_type"] = "simplermsnorm"
    configuration["bias"] = false
    configuration["tie_word_embeddings"] = .bool(structure.tiedEmbeddings)
    configuration["max_position_embeddings"] = JSON(structure.maximumPositions)
    return configuration
  }
}
