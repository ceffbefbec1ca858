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
  private let x_TD: Tensor
  private let context: Context

  init(_ record: ActivationRecord, routed: [Int32], context: Context) {
    let (tokens, width) = (record.energy_TI.rows, record.energy_TI.columns)
    var shares = [Float](repeating: 0, count: routed.count * tokens)
    MLPWeights.forEachBlock(of: record.energy_TI, context) { rows, values in
      for (row, token) in rows.enumerated() {
        let start = row * width
        var total: Float = 0
        for value in values[start..<start + width] { total += value }
        let scale = total > 0 ? 1 / total : 0
        for (index, neuron) in routed.enumerated() {
          shares[index * tokens + token] = values[start + Int(neuron)] * scale
        }
      }
    }
    share_NT = context.tensor(shares, [routed.count, tokens])
    x_TD = record.x_TD
    self.context = context
  }

  /// Each neuron's pattern over tokens, the root of its shares, scaled to unit length: `[N, T]`.
  func patterns() -> Tensor {
    let patterns = context.empty(share_NT.shape)
    let tokens = share_NT.columns
    MLPWeights.forEachBlock(of: share_NT, context) { rows, shares in
      var values = shares
      for row in 0..<rows.count {
        let columns = row * tokens..<(row + 1) * tokens
        var sum: Float = 0
        for index in columns { sum += shares[index] }
        let scale = sum > 0 ? 1 / sum : 0
        for index in columns { values[index] = (shares[index] * scale).squareRoot() }
      }
      context.write(values, toRows: rows, of: patterns)
    }
    return patterns
  }

  /// A division that captures at least as much as `assignment`.
  func refine(_ assignment: [Int32], experts: Int, topK: Int, rounds: Int) throws -> [Int32] {
    let regression = try RidgeRegression(
      inputs_TD: x_TD, relativeRidge: RegressedRouter.relativeRidge, intercept: true,
      context: context)
    var current = assignment
    var best = (assignment: assignment, captured: -Double.infinity)
    for round in 0...rounds {
      let energy_TE = expertShares(current, experts)
      let chosen_TE = predictedChoice(energy_TE, regression, topK)
      let captured = zip(context.read(energy_TE), chosen_TE).reduce(0.0) {
        $0 + Double($1.0 * $1.1)
      }
      if captured > best.captured { best = (current, captured) }
      if round == rounds { break }
      let value_NE = context.product(
        share_NT, context.tensor(chosen_TE, [x_TD.rows, experts]))
      let next = BalancedAssignment.solve(values_NG: context.read(value_NE), groups: experts)
      if next == current { break }
      current = next
    }
    return best.assignment
  }

  /// The share of the tokens' energy that `topK` experts picked by a linear router hold.
  func captured(_ assignment: [Int32], experts: Int, topK: Int) throws -> Double {
    let regression = try RidgeRegression(
      inputs_TD: x_TD, relativeRidge: RegressedRouter.relativeRidge, intercept: true,
      context: context)
    let energy_TE = expertShares(assignment, experts)
    let chosen = predictedChoice(energy_TE, regression, topK)
    let sum = zip(context.read(energy_TE), chosen).reduce(0.0) { $0 + Double($1.0 * $1.1) }
    return sum / Double(max(1, x_TD.rows))
  }

  private func expertShares(_ assignment: [Int32], _ experts: Int) -> Tensor {
    context.product(
      share_NT, transposeA: true, context.indicator(of: assignment, columns: experts))
  }

  /// 1 where a router fitted to the experts' energies picks an expert, else 0; `[T, E]`.
  private func predictedChoice(_ energy_TE: Tensor, _ regression: RidgeRegression, _ topK: Int)
    -> [Float]
  {
    let experts = energy_TE.columns
    let targets = context.tensor(
      context.read(energy_TE).map { max(0, $0).squareRoot() }, energy_TE.shape)
    let fit = regression.solve(targets_TE: targets)
    let scores = context.read(
      context.linear(
        x_TD, weight: context.tensor(fit.weight_ED, [experts, x_TD.columns]),
        bias: context.tensor(fit.bias_E, [experts])))
    var chosen = [Float](repeating: 0, count: scores.count)
    for token in 0..<energy_TE.rows {
      let row = token * experts..<(token + 1) * experts
      for index in topIndices(scores[row], topK) { chosen[index] = 1 }
    }
    return chosen
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
