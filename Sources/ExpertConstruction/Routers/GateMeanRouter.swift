import Numerics

/// Each expert's row is the mean of its neurons' gate rows: the score is their mean gate
/// pre-activation, so nothing is fitted and no text is needed (the average key of EMoE, Qiu et al.
/// 2023; ExpertWeaver, 2026).
public struct GateMeanRouter: RouterConstruction {
  public let summary = "the mean gate row of the expert's neurons"
  public let source = "Qiu et al. 2023, EMoE; ExpertWeaver 2026"
  public let data = "none"
  public let cost = "one pass over the gate rows"
  public let inputPasses = 0

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { false }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    let (expertsOf, most) = split.expertsOfNeurons(width: layer.weights.width)
    let hidden = layer.weights.hidden
    var rows = [Float](repeating: 0, count: split.experts.count * hidden)
    MLPWeights.forEachBlock(of: layer.weights.gate_ID, layer.context) { neurons, values in
      for (row, neuron) in neurons.enumerated() {
        for expert in expertsOf[neuron * most..<(neuron + 1) * most] where expert >= 0 {
          let target = Int(expert) * hidden
          for column in 0..<hidden { rows[target + column] += values[row * hidden + column] }
        }
      }
    }
    let scale = 1 / Float(max(1, layer.geometry.expertWidth))
    return Router(weight_ED: rows.map { $0 * scale })
  }
}
