import Numerics

/// Each expert's row is the centre of the inputs that concern it most.
///
/// With calibration inputs, a token belongs to the expert with the largest weighted activation norm
/// on it, and `c_e` is the mean of that expert's tokens. The nearest centre is the largest
/// `c_e · x − ½‖c_e‖²`, so the bias is `−½‖c_e‖²`; where a format has no bias, the centres minus
/// their mean are scaled to equal length instead, so that no expert wins by length alone.
/// Without inputs `c_e` is the mean gate row of the expert's neurons, whose score is their mean gate
/// pre-activation and needs no bias.
public struct CentroidRouter: RouterConstruction {
  public let summary = "the mean input of the tokens an expert is strongest on, nearest first"
  public let source =
    "Qu et al. 2024, LLaMA-MoE v2 (centres), with the bias that makes the nearest one win"
  public let data = "calibration text; without it gate rows"
  public let cost = "one pass of the text"
  /// Inputs are used when there are any.
  public let inputPasses = 0

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { withInputs }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    guard layer.inputs != nil else {
      return try GateMeanRouter().router(for: layer, split, allowsBias: false)
    }
    let centres = try inputCentroids(layer, split)
    let (experts, hidden) = (split.experts.count, layer.weights.hidden)
    if allowsBias {
      let bias = (0..<experts).map { expert in
        -0.5 * centres[expert * hidden..<(expert + 1) * hidden].reduce(0) { $0 + $1 * $1 }
      }
      return Router(weight_ED: centres, bias_E: bias)
    }
    return Router(weight_ED: equalised(centres, experts: experts, hidden: hidden), bias_E: nil)
  }

  private func inputCentroids(_ layer: LayerUnderConstruction, _ split: NeuronSplit) throws
    -> [Float]
  {
    let record = try layer.activations()
    let context = layer.context
    let experts = split.experts.count
    let energy = context.read(record.expertEnergy(split))
    var counts = [Float](repeating: 0, count: experts)
    var membership = [Float](repeating: 0, count: energy.count)
    for start in stride(from: 0, to: energy.count, by: experts) {
      guard let index = topIndices(energy[start..<start + experts], 1).first else { continue }
      membership[index] = 1
      counts[index - start] += 1
    }
    // An expert that is first on no token takes its centre from all tokens, by energy.
    for expert in 0..<experts where counts[expert] == 0 {
      for start in stride(from: 0, to: energy.count, by: experts) {
        membership[start + expert] = energy[start + expert]
        counts[expert] += energy[start + expert]
      }
    }
    for index in membership.indices where counts[index % experts] > 0 {
      membership[index] /= counts[index % experts]
    }
    return context.read(
      context.product(
        context.tensor(membership, [record.x_TD.rows, experts]), transposeA: true, record.x_TD))
  }

  private func equalised(_ centres: [Float], experts: Int, hidden: Int) -> [Float] {
    var rows = centres
    for column in 0..<hidden {
      var mean: Float = 0
      for expert in 0..<experts { mean += rows[expert * hidden + column] / Float(experts) }
      for expert in 0..<experts { rows[expert * hidden + column] -= mean }
    }
    let norms = (0..<experts).map { expert in
      rows[expert * hidden..<(expert + 1) * hidden].reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    let mean = norms.reduce(0, +) / Float(experts)
    for index in rows.indices where norms[index / hidden] > 0 {
      rows[index] *= mean / norms[index / hidden]
    }
    return rows
  }
}
