import Formats
import Models
import Numerics

/// Where the neurons of one layer's MLP are, whatever the format: units of neurons, each with its
/// three matrices as runs of parameters. Shared neurons come first, then the experts in order.
struct LayerNeurons {
  /// A group of neurons that are stored together.
  struct Unit {
    /// Neurons.
    var width: Int
    /// The parameter of each matrix.
    var parameters: [Projection: String]
    /// The unit's first element in its parameters.
    var offset: Int
    /// The factor by which its down projection was multiplied when it was stored.
    var scale: Double
  }

  var units: [Unit] = []
  /// Parameters of zeros that a format has in the place of shared neurons; they are no neurons.
  var padding: Set<String> = []
  /// Hidden size.
  let hidden: Int

  /// Neurons of all units.
  var count: Int { units.reduce(0) { $0 + $1.width } }

  /// - Parameters:
  ///   - sharedScale: The factor on shared down projections.
  ///   - padsShared: Whether the shared part only fills a place of the format.
  init(
    _ mlp: MLPConfiguration, layer: Int, hidden: Int, sharedScale: Double, padsShared: Bool
  ) {
    self.hidden = hidden
    let prefix = ParameterName.mlp(layer)
    func parameters(_ stem: String, _ ending: String = ".weight") -> [Projection: String] {
      Dictionary(
        uniqueKeysWithValues: Projection.allCases.map {
          ($0, "\(stem)\($0.rawValue)_proj\(ending)")
        })
    }
    switch mlp {
    case .dense(let dense):
      units = [
        Unit(width: dense.width, parameters: parameters("\(prefix)."), offset: 0, scale: 1)
      ]
    case .mixture(let mixture):
      if mixture.sharedWidth > 0 {
        let shared = Unit(
          width: mixture.sharedWidth, parameters: parameters("\(prefix).shared_expert."),
          offset: 0, scale: sharedScale)
        if padsShared {
          padding = Set(shared.parameters.values)
        } else {
          units.append(shared)
        }
      }
      let size = mixture.expertWidth * hidden
      units += (0..<mixture.experts).map {
        Unit(
          width: mixture.expertWidth, parameters: parameters("\(prefix).experts.", ""),
          offset: $0 * size, scale: mixture.foldedScale)
      }
    }
  }

  /// The names of all parameters that hold neurons.
  var parameters: Set<String> { Set(units.flatMap { $0.parameters.values }) }
}

extension ModelLoader {
  /// The neurons of a layer's MLP.
  ///
  /// A shared expert behind a sigmoid gate of zeros counts half, which a conversion made up for by
  /// doubling its down projection. One of zeros adds nothing, and training leaves it so: it fills a
  /// place of the format.
  /// - Parameter split: What the ledger says of the layer; without it, the shared expert is looked at.
  func neurons(ofLayer layer: Int, _ split: NeuronSplit? = nil) throws -> LayerNeurons {
    let model = layout.configuration
    let mlp = model.blocks[layer].mlp
    return LayerNeurons(
      mlp, layer: layer, hidden: model.hiddenSize,
      sharedScale: try hasZeroGate(mlp, layer: layer) ? 2 : 1,
      padsShared: try split?.shared.isEmpty ?? hasZeroShared(mlp, layer: layer))
  }

  /// Whether all matrices of the shared expert are zeros.
  private func hasZeroShared(_ mlp: MLPConfiguration, layer: Int) throws -> Bool {
    guard case .mixture(let mixture) = mlp, mixture.sharedWidth > 0 else { return false }
    let count = mixture.sharedWidth * layout.configuration.hiddenSize
    return try Projection.allCases.allSatisfy {
      try isZero(
        "\(ParameterName.mlp(layer)).shared_expert.\($0.rawValue)_proj.weight", count: count)
    }
  }

  /// Whether the shared expert passes a gate of zeros, which is exactly one half.
  func hasZeroGate(_ mlp: MLPConfiguration, layer: Int) throws -> Bool {
    guard case .mixture(let mixture) = mlp, mixture.sharedGate else { return false }
    return try isZero(
      "\(ParameterName.mlp(layer)).shared_expert_gate.weight",
      count: layout.configuration.hiddenSize)
  }

  /// Whether no MLP's router has a gain other than zero.
  func gainsAreZero() throws -> Bool {
    try layout.configuration.parameterShapes.filter { $0.name.hasSuffix(".mlp.router.gain") }
      .allSatisfy { try isZero($0.name, count: $0.shape.reduce(1, *)) }
  }

  /// Whether a parameter of `count` elements is nothing but zeros.
  func isZero(_ parameter: String, count: Int) throws -> Bool {
    // Most parameters show at once that they are not.
    let chunk = 1 << 16
    return try stride(from: 0, to: count, by: chunk).allSatisfy { start in
      try floats(parameter, start..<min(count, start + chunk)).allSatisfy { $0 == 0 }
    }
  }
}
