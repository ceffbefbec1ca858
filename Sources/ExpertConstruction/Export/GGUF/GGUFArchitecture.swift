import Formats
import Models
import Numerics

/// The architecture of llama.cpp that computes what a model computes, and with which settings.
///
/// - `llama`: dense MLPs, or routed experts whose weights sum to one (as Mixtral's).
/// - `granitemoe`: the same with shared neurons that pass no gate.
/// - `glm4moe`: every other rule that is a function of the router's scores, sigmoids among them; leading
///   dense layers.
struct GGUFArchitecture: Equatable {
  enum Name: String {
    case llama, granitemoe, glm4moe
  }

  /// How scores become weights; raw values are those of `expert_gating_func`.
  enum Gating: UInt32 {
    case softmax = 1
    case sigmoid = 2
    /// The k largest scores are chosen first.
    case softmaxOfChosen = 3
  }

  var name: Name
  /// The attention of every layer.
  var attention: AttentionConfiguration
  /// The MLP of the leading layers that are dense, or of all.
  var dense: DenseConfiguration?
  /// How many layers those are.
  var denseLayers: Int
  /// The MLP of all other layers.
  var mixture: MixtureConfiguration?
  /// Only `glm4moe` reads the next three; the others have a softmax whose weights sum to one.
  var gating = Gating.softmax
  var normalizes = true
  var weightScale = 1.0
  /// What the routed down projections are multiplied by.
  var downScale = 1.0
  /// What the router is multiplied by.
  var routerScale = 1.0

  /// Makes all scores of the chosen experts equal to rounding, so that softmax weights are 1/k each.
  static let flattening = GraniteMoESharedOutput.flattening

  /// Whether query and key rows are interleaved: the architecture rotates neighbouring channels,
  /// where LLaMA's rotates those half a head apart.
  var interleavesHeads: Bool { name != .glm4moe }

  /// Neurons of the shared part as written; `glm4moe` always has one, of zeros if need be.
  var sharedWidth: Int {
    guard let mixture else { return 0 }
    return name == .glm4moe ? max(mixture.sharedWidth, mixture.expertWidth) : mixture.sharedWidth
  }

  /// Whether the shared part has to be made up of zeros.
  var padsShared: Bool { sharedWidth > 0 && mixture?.sharedWidth == 0 }

  /// Chooses the architecture.
  /// - Parameter gainsAreZero: Whether every `u` of the weights 1 + p·u is zero.
  /// - Throws: ``ConstructionError`` with the reason and a format that fits.
  init(_ model: ModelConfiguration, gainsAreZero: Bool) throws(ConstructionError) {
    attention = try Self.attention(of: model)
    if model.residual != nil {
      throw Self.refused(
        "its residual connections start behind the norms, which no architecture here has; keep the "
          + "herd format")
    }
    if let additions = model.llamaAdditions {
      throw Self.refused(
        "it has \(additions), which no architecture here has; keep the herd format")
    }
    var mixtures: [MixtureConfiguration] = []
    var dense: [DenseConfiguration] = []
    for block in model.blocks {
      switch block.mlp {
      case .dense(let mlp):
        guard mixtures.isEmpty else {
          throw Self.refused("it has dense layers behind mixtures, which no architecture here has")
        }
        dense.append(mlp)
      case .mixture(let mlp): mixtures.append(mlp)
      }
    }
    guard mixtures.allSatisfy({ $0 == mixtures[0] }), dense.allSatisfy({ $0 == dense[0] }) else {
      throw Self.refused("its layers differ, and the file has one setting for all")
    }
    self.dense = dense.first
    denseLayers = dense.count
    mixture = mixtures.first
    name = .llama
    if let mixture = mixtures.first {
      try choose(mixture, gainsAreZero: gainsAreZero)
    }
    try checkDetails(model)
  }

  private mutating func choose(
    _ mixture: MixtureConfiguration, gainsAreZero: Bool
  ) throws(ConstructionError) {
    if mixture.routerBias {
      throw Self.refused(
        "its router has a bias, which GGUF has not; convert with --format mixtral's "
          + "settings (--router without a bias), or keep the herd format")
    }
    if let scoring = mixture.routerKind.nonlinearScoring {
      throw Self.refused(
        "its router scores experts by \(scoring), where llama.cpp's are linear; keep the herd format"
      )
    }
    if mixture.outputBias {
      throw Self.refused(
        "its MLPs end in a bias, which llama.cpp's mixtures have not; keep the herd format, or "
          + "convert with a --recovery without a bias")
    }
    if mixture.scoreThreshold != nil {
      throw Self.refused(
        "the number of experts varies from token to token, where llama.cpp's is fixed; keep the herd "
          + "format")
    }
    if mixture.sharedGate {
      throw Self.refused(
        "its shared expert passes a sigmoid gate, which llama.cpp divides by; export the herd folder "
          + "it came from")
    }
    let isPlain = denseLayers == 0 && !mixture.selectionBias
    switch mixture.combination {
    case .gained where !gainsAreZero:
      throw Self.refused("weights 1 + p·u with trained u exist in no architecture of llama.cpp")
    case .gained where mixture.topK > 1:
      (name, gating, normalizes) = (.glm4moe, .softmaxOfChosen, false)
      (weightScale, routerScale) = (Double(mixture.topK), Self.flattening)
    case .gained:
      normalize(mixture, scale: 1, isPlain: isPlain)
    case .renormalizedSoftmax(let scale):
      normalize(mixture, scale: scale, isPlain: isPlain)
    case .sigmoid(let scale):
      (name, gating, normalizes, weightScale) = (.glm4moe, .sigmoid, false, scale)
    case .renormalizedSigmoid(let scale):
      (name, gating, normalizes, weightScale) = (.glm4moe, .sigmoid, true, scale)
    case .softmax(let scale) where !mixture.selectionBias:
      (name, gating, normalizes, weightScale) = (.glm4moe, .softmax, false, scale)
    default:
      throw Self.refused("llama.cpp has no such weights of chosen experts; keep the herd format")
    }
  }

  private mutating func normalize(_ mixture: MixtureConfiguration, scale: Double, isPlain: Bool) {
    if isPlain {
      name = mixture.sharedWidth > 0 ? .granitemoe : .llama
      downScale = scale
    } else {
      // Selection by scores plus bias, a softmax over the chosen scores: the order of this function.
      (name, gating, normalizes, weightScale) = (.glm4moe, .softmaxOfChosen, false, scale)
    }
  }

  /// What the chosen architecture must not meet.
  private func checkDetails(_ model: ModelConfiguration) throws(ConstructionError) {
    if name != .granitemoe, attention.scale != 1 / Double(attention.headDimension).squareRoot() {
      throw Self.refused("its attention has a scale of its own, \(attention.scale)")
    }
    guard name == .glm4moe, let mixture else { return }
    if mixture.sharedWidth % mixture.expertWidth != 0 {
      throw Self.refused(
        "\(mixture.sharedWidth) shared neurons are no whole number of experts of \(mixture.expertWidth)"
      )
    }
    if case .llama3 = attention.rope.scaling {
      throw Self.refused(
        "it needs architecture glm4moe, which has no place for LLaMA-3.1's rotary factors; combine "
          + "with renormalized_softmax, or keep the herd format")
    }
    if attention.outputBias {
      throw Self.refused(
        "it needs architecture glm4moe, which has no bias on the attention output; combine with "
          + "renormalized_softmax, or keep the herd format")
    }
  }

  private static func attention(
    of model: ModelConfiguration
  ) throws(ConstructionError) -> AttentionConfiguration {
    var found: AttentionConfiguration?
    for block in model.blocks {
      guard case .attention(let attention) = block.mixer else {
        throw refused("a layer mixes tokens by other means than softmax attention")
      }
      if let mixture = attention.mixture {
        throw refused(
          "its attention is made of experts (\(mixture.kind.rawValue)), which no architecture of "
            + "llama.cpp has; use --format jetmoe for moa, or keep the herd format")
      }
      if let additions = attention.additions {
        throw refused(
          "its softmax layers have \(additions), which no architecture here has; keep the herd format"
        )
      }
      guard attention == found ?? attention else {
        throw refused("the attention of its layers differs")
      }
      found = attention
    }
    guard let found else { throw refused("it has no layers") }
    if let window = found.window, window < model.maximumPositions {
      throw refused(
        "a sliding window of \(window) is no setting of these architectures; set sliding_window to "
          + "null if the model is used below its window, or use --format mixtral")
    }
    return found
  }

  private static func refused(_ reason: String) -> ConstructionError {
    ConstructionError(.refused, "--format gguf: \(reason)")
  }
}
