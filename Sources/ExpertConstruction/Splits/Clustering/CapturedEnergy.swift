import Numerics

/// How much of the routed neurons' activation the chosen experts hold.
///
/// A token's energy is the sum of its squared weighted activations; each token counts alike. Given
/// the experts, a linear router picks `k` of them per token; given the picks, the best balanced
/// division of neurons is a transport problem. Alternating the two raises the captured share; the
/// best division seen is kept, since the router is refitted and may also lose a little.
struct CapturedEnergy {
  /// Each routed neuron's share of each token's energy, `[N, T]`.
  private let share_NT: Tensor
  private let record: ActivationRecord
  private let context: Context

  init(_ record: ActivationRecord, routed: [Int32], context: Context) {
    share_NT = context.energyShares(
      record.energy_TI, of: context.tensor(routed, [routed.count]))
    self.record = record
    self.context = context
  }

  /// Each neuron's pattern over tokens, the root of its shares, scaled to unit length: `[N, T]`.
  func patterns() -> Tensor { context.unitRoots(share_NT) }

  /// A division that captures at least as much as `assignment`.
  func refine(_ assignment: [Int32], experts: Int, topK: Int, rounds: Int) throws -> [Int32] {
    let regression = try record.regression(intercept: true)
    var current = assignment
    var best = (assignment: assignment, captured: -Double.infinity)
    for round in 0...rounds {
      let (chosen_TE, captured) = predictedChoice(current, experts, topK, regression)
      if captured > best.captured { best = (current, captured) }
      if round == rounds { break }
      let value_NE = context.product(share_NT, chosen_TE)
      let next = BalancedAssignment.solve(values_NG: context.read(value_NE), groups: experts)
      if next == current { break }
      current = next
    }
    return best.assignment
  }

  /// The share of the tokens' energy that `topK` experts picked by a linear router hold.
  func captured(_ assignment: [Int32], experts: Int, topK: Int) throws -> Double {
    let regression = try record.regression(intercept: true)
    let (_, captured) = predictedChoice(assignment, experts, topK, regression)
    return captured / Double(max(1, record.x_TD.rows))
  }

  /// 1 where a router fitted to the experts' energies picks an expert, else 0, `[T, E]`, and the
  /// energy that the picks hold.
  private func predictedChoice(
    _ assignment: [Int32], _ experts: Int, _ topK: Int, _ regression: RidgeRegression
  ) -> (chosen_TE: Tensor, captured: Double) {
    let energy_TE = context.product(
      share_NT, transposeA: true, context.indicator(of: assignment, columns: experts))
    let energy = context.read(energy_TE)
    let fit = regression.solve(
      targets_TE: context.tensor(energy.map { max(0, $0).squareRoot() }, energy_TE.shape))
    let scores_TE = context.linear(
      record.x_TD, weight: context.tensor(fit.weight_ED, [experts, record.x_TD.columns]),
      bias: context.tensor(fit.bias_E, [experts]))
    let routing = context.route(scores_TE, topK: topK, combination: .uniform(weight: 1))
    let picks = context.readIntegers(routing.experts_TK)
    var captured = 0.0
    for (index, expert) in picks.enumerated() {
      captured += Double(energy[index / topK * experts + Int(expert)])
    }
    return (context.indicator(of: routing.experts_TK, columns: experts), captured)
  }
}

/// The indices of the `count` largest values, ties to the lower index.
func topIndices(_ values: ArraySlice<Float>, _ count: Int) -> [Int] {
  var chosen: [Int] = []
  for _ in 0..<min(count, values.count) {
    var best: Int?
    for index in values.indices where !chosen.contains(index) {
      if best.map({ values[index] > values[$0] }) ?? true { best = index }
    }
    if let best { chosen.append(best) }
  }
  return chosen
}
