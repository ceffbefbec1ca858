import Formats
import Models
import Numerics

/// What the formats of linear attention have in common. Every tensor is put together as the
/// `CheckpointLayout` of the same name says.
enum LinearFormat {
  /// The first layer whose mixer is another one than the format has there, and how it differs.
  ///
  /// - Parameter mixer: The format's mixer of a layer.
  static func mixerRefusal(
    _ mixers: [MixerConfiguration], mixer: (Int) -> LinearMixerConfiguration
  ) -> String? {
    for (layer, own) in mixers.enumerated() {
      guard case .linear(let own) = own else { continue }
      let format = mixer(layer)
      if let difference = own.difference(from: format) {
        return "in layer \(layer) \(difference); use --format herd"
      }
    }
    return nil
  }

  /// Why a format of linear attention in every layer cannot hold `model`.
  static func softmaxRefusal(_ model: ModelConfiguration) -> String? {
    for (layer, block) in model.blocks.enumerated() {
      guard case .attention = block.mixer else { continue }
      return "all its layers are linear attention, and layer \(layer) is softmax; use --format herd"
        + (model.linearMixers.isEmpty ? ", or herd linearize first" : "")
    }
    return nil
  }

  /// The dense MLP that all layers have, or why the format cannot hold theirs.
  ///
  /// - Parameter activation: Of the format's gates.
  static func denseWidth(
    _ model: ModelConfiguration, activation: Activation
  ) -> (width: Int, refusal: String?) {
    var widths: Set<Int> = []
    for (layer, block) in model.blocks.enumerated() {
      guard case .dense(let dense) = block.mlp else {
        return (0, "it has no experts, and layer \(layer) has; use --format herd")
      }
      guard dense.activation == activation, !dense.bias else {
        return (
          0,
          "the gate of its MLPs is \(dense.bias ? "biased" : dense.activation.rawValue), where the "
            + "format has \(activation.rawValue); use --format herd"
        )
      }
      widths.insert(dense.width)
    }
    guard widths.count == 1, let width = widths.first else {
      return (0, "all its MLPs have one width, and layers here differ; use --format herd")
    }
    return (width, nil)
  }

  /// Why a format cannot hold what surrounds the blocks of `model`.
  static func frameRefusal(
    _ model: ModelConfiguration, hasNormWeights: Bool, epsilon: Double?
  ) -> String? {
    if model.residual != nil {
      return "its residual connections start before the norms, and this model's behind them; use "
        + "--format herd"
    }
    if model.positionEncodingHeads != nil { return encodingRefusal }
    guard model.hasNormWeights == hasNormWeights else {
      return "its norms have \(hasNormWeights ? "weights" : "no weights"), and this model's have "
        + "\(hasNormWeights ? "none" : "some"); use --format herd"
    }
    if let epsilon, model.normEpsilon != epsilon {
      return "its norms have ε \(epsilon), this model's \(model.normEpsilon); use --format herd"
    }
    return nil
  }

  /// Why a format without it cannot hold a position encoding of the embeddings.
  static let encodingRefusal =
    "its embeddings have no position encoding, and this model's have (tpe); use --format herd"

  /// Why such a format cannot hold what a conversion makes.
  static let noExperts = "it is of linear attention without experts; use --format herd"
}
