import Numerics

/// One factor per expert and one for the shared part, by least squares: with `o_e` what unit `e`
/// writes, weighted by the router and 0 where it is not chosen, the factors `g` minimise
/// `Σ_t ‖Σ_e g_e · o_e - y‖² + λ Σ_e (g_e - 1)²` for the dense output `y`. They go into the columns of
/// the down projection.
public struct ScaleRecovery: Recovery {
  public let addsBias = false
  /// `λ` as a fraction of the mean energy of a unit.
  static let relativeRidge = 0.01
  /// Values of all units' outputs held at a time.
  private static let held = 1 << 26

  /// The recovery; it has no settings.
  public init() {}

  public func recover(_ layer: RoutedLayer) throws -> RecoveredLayer {
    let units = layer.split.experts + (layer.split.shared.isEmpty ? [] : [layer.split.shared])
    let factors = try factors(layer, units)
    var down = layer.down
    let width = layer.width
    for (unit, factor) in zip(units, factors) {
      for neuron in unit {
        for index in stride(from: Int(neuron), to: down.count, by: width) {
          down[index] *= Float(factor)
        }
      }
    }
    return RecoveredLayer(down_DI: down)
  }

  /// Solves for each unit's factor.
  private func factors(_ layer: RoutedLayer, _ units: [[Int32]]) throws -> [Double] {
    let context = layer.layer.context
    let count = units.count
    let weights = layer.layer.weights.units(units, context)
    let experts = units.indices.map {
      context.tensor([$0 < layer.split.experts.count ? Int32($0) : -1], [1])
    }
    var gram = [Double](repeating: 0, count: count * count)
    var moments = [Double](repeating: 0, count: count)
    let rows = max(1, Self.held / (count * layer.hidden))
    try layer.forEachBatch { x_TD, routing, target_TD in
      for start in stride(from: 0, to: x_TD.rows, by: rows) {
        let range = start..<min(x_TD.rows, start + rows)
        let values = range.count * layer.hidden
        let outputs_UN = context.empty([count, values])
        let some = routing.slice(range)
        for unit in units.indices {
          let written_TD = context.linear(
            weights[unit].hidden(x_TD.slice(range), context), weight: weights[unit].down_DI)
          context.copy(
            context.scaleHeads(written_TD, some, expertOfHead: experts[unit]),
            into: outputs_UN.slice(unit..<unit + 1))
        }
        let target_N = target_TD.slice(range).reshaped([1, values])
        let products = context.product(outputs_UN, outputs_UN, transposeB: true)
        let projections = context.product(outputs_UN, target_N, transposeB: true)
        for (index, value) in context.readDoubles(products).enumerated() { gram[index] += value }
        for (index, value) in context.readDoubles(projections).enumerated() {
          moments[index] += value
        }
      }
    }
    return try solve(gram, moments, layer)
  }

  /// `g = 1 + (A + λ)⁻¹ · (b - A·1)` of the normal equations `A·g = b`.
  private func solve(
    _ gram: [Double], _ moments: [Double], _ layer: RoutedLayer
  ) throws -> [Double] {
    let count = moments.count
    let trace = (0..<count).reduce(0.0) { $0 + gram[$1 * count + $1] }
    let ridge = max(Self.relativeRidge * trace / Double(count), .leastNormalMagnitude)
    var matrix = gram
    var missing = moments
    for row in 0..<count {
      for column in 0..<count { missing[row] -= gram[row * count + column] }
      matrix[row * count + row] += ridge
    }
    let factor = try CholeskyFactor(
      matrix, order: count, pool: layer.layer.context.backend.hostPool)
    return factor.solve(missing, count: 1).map { 1 + $0 }
  }
}
