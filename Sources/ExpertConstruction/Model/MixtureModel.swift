import Formats
import Models

/// What decides a mixture layer's tensors.
public struct MixtureShape: Equatable, Sendable {
  /// Sizes and rules.
  public var block: MixtureBlock
  /// Hidden size.
  public var hidden: Int
  /// The element type of the experts.
  public var elementType: ElementType

  /// The shape of one layer.
  public init(block: MixtureBlock, hidden: Int, elementType: ElementType) {
    self.block = block
    self.hidden = hidden
    self.elementType = elementType
  }
}

/// What a layout needs to know of a model.
public struct MixtureModel: Sendable {
  /// The configuration it came with, a dense model's or a herd model's.
  public var configuration: ConfigurationFile
  /// The dense model type the blocks descend from: `llama`, `mistral` or `qwen2`.
  public var modelType: String
  /// Hidden size.
  public var hidden: Int
  /// Query heads.
  public var heads: Int
  /// The dimension of a head.
  public var headDimension: Int
  /// The attention projections (`q`, `k`, `v`, `o`) that have biases.
  public var biasedProjections: Set<String>
  /// The MLP of each layer; `nil` where it is dense.
  public var blocks: [MixtureBlock?]
  /// The width of each layer's MLP where it is dense; empty when it is what the configuration says.
  public var denseWidths: [Int] = []
  /// The attention of each layer, `nil` where it is dense; empty when all of it is.
  public var attention: [AttentionMixtureConfiguration?] = []
  /// What mixes the tokens of each layer, as herd's own format tells it; empty for softmax attention as
  /// the configuration describes it.
  public var mixers: [MixerConfiguration] = []
  /// The whole model as herd's own format tells it; `nil` for one that a conversion plans.
  public var structure: ModelConfiguration?
  /// The element type of the MLPs.
  public var elementType: ElementType
  /// Whether every `u` of the rule `gained` is zero, so that chosen experts have weight one.
  public var gainsAreZero: Bool
  /// How the model was made, for the configuration.
  public var construction: JSONObject

  /// What decides the tensors of layer `index`; `nil` when it is dense.
  func shape(ofLayer index: Int) -> MixtureShape? {
    blocks[index].map { MixtureShape(block: $0, hidden: hidden, elementType: elementType) }
  }

  /// The first layer that is a mixture, and what decides its tensors.
  var firstMixture: (layer: Int, shape: MixtureShape)? {
    blocks.firstIndex { $0 != nil }.flatMap { layer in
      shape(ofLayer: layer).map { (layer: layer, shape: $0) }
    }
  }

  /// What attention experts layer `index` has.
  func attention(ofLayer index: Int) -> AttentionMixtureConfiguration? {
    index < attention.count ? attention[index] : nil
  }

  /// What mixes the tokens of layer `index`, as herd's own format writes it.
  func mixerJSON(ofLayer index: Int) -> JSON {
    if let mixture = attention(ofLayer: index) { return mixture.json }
    return index < mixers.count ? mixers[index].json : ["type": "attention"]
  }

  /// Why a format of plain softmax attention cannot hold the mixers; `nil` when it can.
  var mixerRefusal: String? {
    mixers.lazy.compactMap { mixer in
      switch mixer {
      case .linear: StockOutput.linearRefusal
      case .attention(let attention):
        attention.additions.map {
          "its softmax layers have \($0), which the format does not hold; use --format herd"
        }
      }
    }.first
  }

  /// The one block that all layers with experts have, or `nil` when they differ or there are none.
  var uniformBlock: MixtureBlock? {
    let mixtures = blocks.compactMap { $0 }
    guard let block = mixtures.first, mixtures.allSatisfy({ $0 == block }) else { return nil }
    return block
  }

  /// The layers whose MLPs are dense.
  var denseLayers: [Int] { blocks.indices.filter { blocks[$0] == nil } }

  /// The width that all dense MLPs have; `nil` when they differ or the configuration does not say.
  var denseWidth: Int? {
    let widths =
      denseWidths.isEmpty
      ? [configuration["intermediate_size"]?.int ?? 0] : denseLayers.map { denseWidths[$0] }
    guard let width = widths.first, width > 0, widths.allSatisfy({ $0 == width }) else {
      return nil
    }
    return width
  }
}
