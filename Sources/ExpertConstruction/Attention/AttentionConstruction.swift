import Models
import Numerics

/// Decides one layer's attention: which units are always on, and the router of the others.
struct AttentionConstruction {
  let plan: AttentionPlan
  let seed: UInt64
  let context: Context

  /// - Parameters:
  ///   - projections: The dense value and output projections, `[C', D]` and `[D, C]`.
  ///   - inputs: Calibration text, where the plan uses it.
  func make(
    _ index: Int, projections: (value: Tensor, output: Tensor), inputs: (any AttentionInputs)?
  ) throws -> (mixture: AttentionMixtureConfiguration, router: Router) {
    let heads = plan.attention.heads
    let hidden = projections.output.rows
    guard plan.usesText else {
      let mixture = plan.mixture(shared: largest(weightNorms(projections)))
      let bound = 1 / Float(hidden).squareRoot()
      var random = RandomStream(
        seed: seed, purpose: UInt64(index) << 8 | RandomPurpose.attentionRouter.rawValue)
      let count = mixture.experts * hidden
      return (mixture, Router(weight_ED: random.uniform(count, in: -bound...bound), bias_E: nil))
    }
    guard let inputs, inputs.tokens > 0 else {
      throw ConstructionError(
        .refused, "layer \(index): attention experts need calibration text; give --data FILE")
    }
    let record = try HeadRecord(inputs, output_DC: projections.output, heads: heads, context)
    let units = plan.geometry.experts + plan.geometry.shared
    let unitOfHead = (0..<heads).map { Int32($0 * units / heads) }
    let norms = record.norms(unitOfHead, units: units)
    var means = [Double](repeating: 0, count: units)
    for (index, norm) in norms.enumerated() { means[index % units] += Double(norm) }
    let mixture = plan.mixture(shared: largest(means))
    let targets = record.norms(
      mixture.expertOfHead(plan.attention), units: plan.geometry.experts)
    let regression = try RidgeRegression(
      inputs_TD: record.x_TD, relativeRidge: RegressedRouter.relativeRidge,
      intercept: plan.hasRouterBias, context: context)
    let router = RegressedRouter.router(
      norms: targets, experts: mixture.experts, regression, allowsBias: plan.hasRouterBias,
      context)
    guard router.isFinite else {
      throw ConstructionError(
        .proofFailed,
        "layer \(index): the attention router came out not finite; use more calibration data")
    }
    return (mixture, router)
  }

  /// The shared units: the largest by `sizes`, ties to the lower.
  private func largest(_ sizes: [Double]) -> [Int] {
    let order = sizes.indices.sorted {
      sizes[$0] == sizes[$1] ? $0 < $1 : sizes[$0] > sizes[$1]
    }
    return order.prefix(plan.geometry.shared).sorted()
  }

  /// What stands for the length of a unit's output without text: the norm of its heads' output
  /// columns times that of the value rows they read.
  private func weightNorms(_ projections: (value: Tensor, output: Tensor)) -> [Double] {
    let (attention, units) = (plan.attention, plan.geometry.experts + plan.geometry.shared)
    let dim = attention.headDimension
    let (value, output) = (context.read(projections.value), context.read(projections.output))
    var outputSquares = [Double](repeating: 0, count: attention.heads)
    for (index, weight) in output.enumerated() {
      outputSquares[index % (attention.heads * dim) / dim] += Double(weight * weight)
    }
    var valueSquares = [Double](repeating: 0, count: attention.keyHeads)
    let rowLength = value.count / (attention.keyHeads * dim)
    for (index, weight) in value.enumerated() {
      valueSquares[index / rowLength / dim] += Double(weight * weight)
    }
    var sums = [Double](repeating: 0, count: units)
    for head in 0..<attention.heads {
      sums[head * units / attention.heads] +=
        outputSquares[head] * valueSquares[head * attention.keyHeads / attention.heads]
    }
    return sums
  }
}
