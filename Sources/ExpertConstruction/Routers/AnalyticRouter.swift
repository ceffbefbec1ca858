import Models
import Numerics

/// Each expert is scored by one of its own neurons, the one that stands for it best (CMoE, Pei et al.
/// 2025, section 3.3): `|silu(g · x) · (u · x)|` with that neuron's rows, so nothing is fitted.
///
/// The representative is the neuron whose weighted activation follows the expert's weighted
/// activation norm most closely (the cosine over the calibration tokens). CMoE takes the neuron
/// nearest to the mean marker of its cluster, which for rarely marked neurons is the least active
/// one. The up row is scaled so that scores are least-squares estimates of the norm and those of
/// different experts can be compared; CMoE takes rows of unit length.
public struct AnalyticRouter: RouterConstruction {
  public let summary = "the activation of the neuron that stands best for the expert"
  public let source = "Pei et al. 2025, CMoE"
  public let data = "calibration text"
  public let cost = "one pass of the text; two rows an expert while it runs"
  public let inputPasses = 1
  public let kind = RouterKind.gatedPair

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { false }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    let (context, weights, hidden) = (layer.context, layer.weights, layer.weights.hidden)
    let record = try layer.activations()
    let norms_TE = context.tensor(
      context.read(record.expertEnergy(split)).map { max(0, $0).squareRoot() },
      [record.x_TD.rows, split.experts.count])
    let sizes = weights.downColumnNorms(context)
    var router = Router(weight_ED: [], up_ED: [])
    for (expert, neurons) in split.experts.enumerated() {
      let (representative, slope) = representative(of: expert, neurons, record, norms_TE, context)
      func row(_ matrix: Tensor) -> [Float] {
        context.read(matrix.slice(representative..<representative + 1))
      }
      let scale = slope * sizes[representative]
      router.weight_ED += row(weights.gate_ID)
      router.up_ED? += row(weights.up_ID).map { $0 * scale }
    }
    precondition(router.weight_ED.count == split.experts.count * hidden)
    return router
  }

  /// The neuron whose weighted activation has the largest cosine with the expert's norm, and the
  /// factor that brings it closest.
  private func representative(
    of expert: Int, _ neurons: [Int32], _ record: ActivationRecord, _ norms_TE: Tensor,
    _ context: Context
  ) -> (neuron: Int, slope: Float) {
    let experts = norms_TE.columns
    let norms = record.norms(of: neurons)
    let products = context.read(context.product(norms, norms_TE))
    let squares = context.read(context.rowSums(norms, squared: true))
    var best = (index: 0, cosine: -Float.infinity)
    for index in neurons.indices where squares[index] > 0 {
      let cosine = products[index * experts + expert] / squares[index].squareRoot()
      if cosine > best.cosine { best = (index, cosine) }
    }
    let square = squares[best.index]
    let slope = square > 0 ? products[best.index * experts + expert] / square : 0
    return (Int(neurons[best.index]), slope)
  }
}
