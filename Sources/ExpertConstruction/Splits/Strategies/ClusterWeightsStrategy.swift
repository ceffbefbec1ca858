import Numerics

/// Experts of neurons that look at similar inputs, found from the weights alone.
///
/// Shared are the neurons with the largest product of the norms of their gate row, up row and down
/// column. The others are divided by balanced k-means on their concatenated gate and up rows, scaled
/// to unit length (LLaMA-MoE's clustering used one of the two matrices).
public struct ClusterWeightsStrategy: ExpertConstructionStrategy {
  public let summary = "neurons with similar gate and up rows together"
  public let source =
    "Zhu et al. 2024, LLaMA-MoE (independent clustering); Zhang et al. 2022, MoEfication"
  public let data = "none"
  public let cost = "balanced k-means of the rows, once a layer"
  public let inputPasses = 0
  public let readsWeights = true
  private let kMeans: BalancedKMeans

  /// The strategy with the standard balanced k-means.
  public init() { kMeans = BalancedKMeans() }

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let (weights, geometry, context) = (layer.weights, layer.geometry, layer.context)
    let gate = context.read(context.rowSums(weights.gate_ID, squared: true))
    let up = context.read(context.rowSums(weights.up_ID, squared: true))
    let down = weights.downColumnNorms(context)
    let size = gate.indices.map { (gate[$0] * up[$0]).squareRoot() * down[$0] }
    guard size.allSatisfy(\.isFinite) else {
      throw ConstructionError(
        .damagedSource, "layer \(layer.index): the MLP has weights that are not finite")
    }
    let (shared, routed) = largest(geometry.sharedWidth, by: size)
    let points = directions(
      of: routed, weights, zip(gate, up).map { ($0 + $1).squareRoot() }, context)
    var random = layer.random(.clustering)
    let assignment = kMeans.cluster(
      points, clusters: geometry.experts, random: &random, context: context)
    return try NeuronSplit(
      shared: shared, routed: routed, assignment: assignment, geometry: geometry)
  }

  /// The rows `[gate_n, up_n] / ‖·‖` of the given neurons, `[N, 2·D]`.
  private func directions(
    of neurons: [Int32], _ weights: MLPWeights, _ norms: [Float], _ context: Context
  ) -> Tensor {
    let hidden = weights.hidden
    let points = context.empty([neurons.count, 2 * hidden])
    let block = max(1, (1 << 20) / hidden)
    for start in stride(from: 0, to: neurons.count, by: block) {
      let rows = start..<min(neurons.count, start + block)
      var values: [Float] = []
      values.reserveCapacity(rows.count * 2 * hidden)
      for neuron in neurons[rows].map({ Int($0) }) {
        let scale = norms[neuron] > 0 ? 1 / norms[neuron] : 0
        for matrix in [weights.gate_ID, weights.up_ID] {
          for value in context.read(matrix.slice(neuron..<neuron + 1)) {
            values.append(value * scale)
          }
        }
      }
      context.write(values, toRows: rows, of: points)
    }
    return points
  }
}

/// The `count` indices with the largest scores, ties to the lower index, and all others; both
/// ascending.
func largest(_ count: Int, by scores: [Float]) -> (chosen: [Int32], others: [Int32]) {
  let order = scores.indices.sorted {
    scores[$0] > scores[$1] || (scores[$0] == scores[$1] && $0 < $1)
  }
  return (
    order.prefix(count).sorted().map { Int32($0) },
    order.dropFirst(count).sorted().map { Int32($0) }
  )
}
