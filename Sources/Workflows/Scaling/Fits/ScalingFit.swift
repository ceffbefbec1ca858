import Glibc
import Numerics
import Reports

/// The laws of one architecture, with intervals.
struct ScalingFit {
  /// A number and the 10th to 90th percentile of it over resamples of the cells.
  struct Estimate: Equatable {
    var value: Double
    /// `nil` where too few resamples had a fit.
    var interval: ClosedRange<Double>?
  }

  /// A power law with intervals.
  struct Law: Equatable {
    var coefficient: Estimate
    var exponent: Estimate

    /// The law without its intervals.
    var law: PowerLaw { PowerLaw(coefficient.value, exponent.value) }
  }

  /// What follows from the loss as a function of parameters and tokens.
  struct Optimum: Equatable {
    var surface: LossSurface
    var parameters: Law
    var tokens: Law
    /// C = coefficient · N^exponent · D on the cells.
    var cost: PowerLaw
    /// The largest relative error of that.
    var costError: Double
  }

  /// The cells that no cell of at most the same compute beats, by place among the points.
  let frontier: [Int]
  /// L(C) along the frontier, or why there is none.
  let loss: Result<Law, FitRefusal>
  /// N_opt(C) and D_opt(C), or why there are none.
  let optimum: Result<Optimum, FitRefusal>

  /// Resamples of the cells that intervals come from.
  static let resamples = 200
  /// The fewest cells on a frontier that is fitted: two numbers, and two cells to contradict them.
  static let fewestOnFrontier = 4
  /// The fewest cells, sizes and budgets of a surface of five numbers.
  static let fewestCells = 8
  static let fewestSteps = 3
  /// The least m of C = k·N^m·D: below it sizes do not differ in what they cost.
  static let fewestGrowth = 0.1

  /// Fits the points of an architecture.
  /// - Parameter seed: Of the resamples.
  init(_ points: [ScalingPoint], seed: UInt64, resamples: Int = Self.resamples) {
    frontier = Self.frontier(of: points)
    let resamples = Self.resamples(of: points, seed: seed, count: resamples)
    loss = Self.lossLaw(points, frontier, resamples)
    optimum = Self.optimum(points, resamples)
  }

  static func frontier(of points: [ScalingPoint]) -> [Int] {
    ParetoFront.indices(of: points.map { ($0.compute, $0.loss) }, x: .lessIsBetter)
  }

  /// As many points as there are, drawn with repetition, again and again.
  private static func resamples(
    of points: [ScalingPoint], seed: UInt64, count: Int
  ) -> [[ScalingPoint]] {
    guard !points.isEmpty else { return [] }
    var random = RandomStream(seed: seed, purpose: 0x5ca1e)
    return (0..<count).map { _ in
      points.map { _ in points[Int(random.uniform() * Double(points.count))] }
    }
  }

  private static func lossLaw(
    _ points: [ScalingPoint], _ frontier: [Int], _ resamples: [[ScalingPoint]]
  ) -> Result<Law, FitRefusal> {
    func law(_ points: [ScalingPoint], _ frontier: [Int], fewest: Int) -> PowerLaw? {
      guard Set(frontier.map { points[$0].compute }).count >= fewest else { return nil }
      return PowerLaw(fitting: frontier.map { (points[$0].compute, points[$0].loss) })
    }
    guard let fit = law(points, frontier, fewest: fewestOnFrontier) else {
      return .failure(
        FitRefusal(
          description:
            "\(frontier.count) cells are on the frontier of loss and compute; a law needs \(fewestOnFrontier) of different compute"
        ))
    }
    let others = resamples.compactMap { law($0, Self.frontier(of: $0), fewest: 3) }
    return .success(withIntervals(fit, others, of: resamples.count))
  }

  private static func optimum(
    _ points: [ScalingPoint], _ resamples: [[ScalingPoint]]
  ) -> Result<Optimum, FitRefusal> {
    let (sizes, budgets) = (Set(points.map(\.parameters)).count, Set(points.map(\.tokens)).count)
    guard points.count >= fewestCells, sizes >= fewestSteps, budgets >= fewestSteps else {
      return .failure(
        FitRefusal(
          description:
            "\(points.count) cells of \(sizes) sizes and \(budgets) budgets; L(N, D) needs \(fewestCells) of \(fewestSteps) and \(fewestSteps)"
        ))
    }
    guard let cost = PowerLaw(fitting: points.map { ($0.parameters, $0.compute / $0.tokens) })
    else {
      return .failure(FitRefusal(description: "the compute of the cells follows no law"))
    }
    guard cost.exponent > fewestGrowth else {
      return .failure(
        FitRefusal(
          description:
            "the compute of a token grows with N^\(Decimals.fixed(cost.exponent, places: 2)) over these sizes; N_opt needs sizes that cost more the larger they are"
        ))
    }
    let surface = LossSurface(fitting: points)
    if let refusal = surface.refusal(on: points) { return .failure(refusal) }
    let others = resamples.compactMap { points -> (PowerLaw, PowerLaw)? in
      // Resamples are held to what the cells themselves are.
      let cells = Set(points.map { [$0.parameters, $0.tokens] }).count
      guard cells >= fewestCells, Set(points.map(\.parameters)).count >= fewestSteps,
        Set(points.map(\.tokens)).count >= fewestSteps
      else { return nil }
      let other = LossSurface(fitting: points, from: surface)
      return other.refusal(on: points) == nil ? laws(other, cost) : nil
    }
    let (parameters, tokens) = laws(surface, cost)
    return .success(
      Optimum(
        surface: surface,
        parameters: withIntervals(parameters, others.map(\.0), of: resamples.count),
        tokens: withIntervals(tokens, others.map(\.1), of: resamples.count), cost: cost,
        costError: points.map { (cost($0.parameters) * $0.tokens / $0.compute - 1).magnitude }
          .max() ?? 0))
  }

  /// N and D of the lowest loss for a compute C = k·N^m·D, in closed form: from the derivatives of
  /// L(N, D) along it, α·A·N^−α = m·β·B·D^−β. With k = 6 and m = 1 these are Hoffmann et al.'s equation 4.
  static func laws(
    _ surface: LossSurface, _ cost: PowerLaw
  ) -> (parameters: PowerLaw, tokens: PowerLaw) {
    let (alpha, beta, m) = (surface.alpha, surface.beta, cost.exponent)
    let sum = alpha + m * beta
    let (a, logCost) = (beta / sum, log(cost.coefficient))
    let logG = (log(alpha / (m * beta)) + surface.logA - surface.logB) / sum
    let logN = logG - a * logCost
    return (PowerLaw(exp(logN), a), PowerLaw(exp(-logCost - m * logN), 1 - m * a))
  }

  private static func withIntervals(
    _ law: PowerLaw, _ others: [PowerLaw], of count: Int
  ) -> Law {
    func estimate(_ value: Double, _ values: [Double]) -> Estimate {
      let sorted = values.filter(\.isFinite).sorted()
      guard count > 0, sorted.count * 2 >= count else { return Estimate(value: value) }
      return Estimate(
        value: value, interval: quantile(sorted, 0.1)...quantile(sorted, 0.9))
    }
    return Law(
      coefficient: estimate(law.coefficient, others.map(\.coefficient)),
      exponent: estimate(law.exponent, others.map(\.exponent)))
  }

  /// Between the two nearest of sorted values, as a line has it.
  static func quantile(_ sorted: [Double], _ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let low = Int(place)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
  }
}
