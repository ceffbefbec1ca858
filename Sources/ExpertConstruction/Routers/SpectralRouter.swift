import Glibc
import Models
import Numerics

/// An expert scores the length of its gate pre-activations times that of its up pre-activations, each
/// in the few directions that hold most of it: `‖A_e x‖ · ‖B_e x‖`.
///
/// Gate rows are weighted by `√E[sigmoid²(g · x)]` over the calibration tokens, so that squares add up
/// to about those of `silu(g · x)`; up rows by the length of their down columns, so that scores of
/// different experts can be compared. `A_e` are the products of the leading left singular vectors
/// with the weighted rows: the best approximation of the length of that rank.
public struct SpectralRouter: RouterConstruction {
  public let summary = "lengths of gate and up pre-activations in their leading directions"
  public let source = "spectral-mass routing, 2026; rank and scaling of this toolkit"
  public let data = "calibration text"
  public let cost = "one pass of the text and two eigenproblems of its width an expert"
  public let inputPasses = 1
  public let kind = RouterKind.lengthPair

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { false }

  /// An eighth of an expert's neurons, so that scoring all experts costs a twelfth of the dense MLP.
  public func rank(expertWidth: Int) -> Int { min(128, max(2, expertWidth / 8)) }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    let (context, weights) = (layer.context, layer.weights)
    let openness = try Self.openness(layer)
    let sizes = weights.downColumnNorms(context)
    let rank = rank(expertWidth: layer.geometry.expertWidth)
    var router = Router(weight_ED: [], up_ED: [])
    router.rank = rank
    for neurons in split.experts {
      router.weight_ED += try Self.leading(
        weights.gate_ID, neurons, openness, rank: rank, layer)
      router.up_ED? += try Self.leading(weights.up_ID, neurons, sizes, rank: rank, layer)
    }
    return router
  }

  /// `√E[sigmoid²(g · x)]` of every neuron over the calibration tokens.
  private static func openness(_ layer: LayerUnderConstruction) throws -> [Float] {
    let (context, gate_ID) = (layer.context, layer.weights.gate_ID)
    let x_TD = try layer.activations().x_TD
    var sums = [Double](repeating: 0, count: gate_ID.rows)
    let block = max(1, (1 << 22) / gate_ID.rows)
    for start in stride(from: 0, to: x_TD.rows, by: block) {
      let rows = start..<min(x_TD.rows, start + block)
      let values = context.read(context.linear(x_TD.slice(rows), weight: gate_ID))
      for token in 0..<rows.count {
        for neuron in sums.indices {
          let open = 1 / (1 + exp(-values[token * sums.count + neuron]))
          sums[neuron] += Double(open * open)
        }
      }
    }
    return sums.map { Float(($0 / Double(max(1, x_TD.rows))).squareRoot()) }
  }

  /// The `rank` rows `[rank, D]` whose products with an input come closest in length to those of the
  /// given rows of `matrix`, each times its factor.
  private static func leading(
    _ matrix: Tensor, _ neurons: [Int32], _ factors: [Float], rank: Int,
    _ layer: LayerUnderConstruction
  ) throws -> [Float] {
    let context = layer.context
    let rows_ND = context.product(
      context.indicator(of: neurons, columns: matrix.rows), context.cast(matrix, to: .f32))
    let scale_N = neurons.map { Double(factors[Int($0)]) }
    let count = neurons.count
    let gram = context.readDoubles(context.product(rows_ND, rows_ND, transposeB: true))
    let weighted = (0..<count * count).map {
      gram[$0] * scale_N[$0 / count] * scale_N[$0 % count]
    }
    guard let eigen = SymmetricEigenvectors(weighted, order: count) else {
      throw ConstructionError(
        .damagedSource,
        "layer \(layer.index): an expert's rows have no finite eigenvalues; check the checkpoint's "
          + "weights")
    }
    let used = min(rank, count)
    let combination = (0..<used * count).map {
      Float(eigen.vectors_NN[$0] * scale_N[$0 % count])
    }
    let leading_RD = context.product(context.tensor(combination, [used, count]), rows_ND)
    return context.read(leading_RD)
      + [Float](repeating: 0, count: (rank - used) * matrix.columns)
  }
}
