import Glibc
import Numerics
import Testing

@testable import Workflows

/// Laws are found again in cells made from them.
@Suite struct ScalingFitTests {
  private static let extents: [ScalingArchitecture.Extents] = [
    .init(layers: 4, hiddenSize: 128, heads: 4, width: 352),
    .init(layers: 5, hiddenSize: 192, heads: 4, width: 512),
    .init(layers: 5, hiddenSize: 256, heads: 4, width: 688),
    .init(layers: 6, hiddenSize: 320, heads: 5, width: 848),
    .init(layers: 8, hiddenSize: 384, heads: 6, width: 1024),
    .init(layers: 9, hiddenSize: 512, heads: 8, width: 1376),
  ]
  private static let truth = (
    floor: 1.7, a: 60.0, alpha: 0.36, b: 200.0, beta: 0.31
  )

  /// Cells of a grid with losses of the truth, times 1 + noise.
  private func cells(
    _ architecture: ScalingArchitecture = .tnl, sizes: Int = 6,
    budgets: [Double] = [2e6, 5e6, 1e7, 2e7], noise: Double = 0, seed: UInt64 = 1
  ) -> [ScalingPoint] {
    var random = RandomStream(seed: seed)
    return Self.extents.prefix(sizes).flatMap { extents in
      budgets.map { tokens in
        let n = Double(architecture.parameters(extents))
        let t = Self.truth
        let loss = t.floor + t.a * pow(n, -t.alpha) + t.b * pow(tokens, -t.beta)
        return ScalingPoint(
          parameters: n, tokens: tokens,
          compute: architecture.operations(extents, tokens: tokens, length: 1024)
            / ScalingArchitecture.operationsOfDay,
          loss: loss * (1 + noise * (2 * random.uniform() - 1)))
      }
    }
  }

  @Test func aPowerLawIsFoundAgain() throws {
    let law = PowerLaw(3.5, -0.08)
    let points = [1e-7, 1e-6, 3e-6, 1e-5].map { (x: $0, y: law($0)) }
    let found = try #require(PowerLaw(fitting: points))
    #expect(abs(found.coefficient / 3.5 - 1) < 1e-9 && abs(found.exponent + 0.08) < 1e-10)
    #expect(PowerLaw(fitting: []) == nil)
    #expect(PowerLaw(fitting: [(1, 2), (1, 3)]) == nil)
  }

  @Test func equationsAreSolved() throws {
    let solution = try #require(
      SymmetricSystem.solution([[4, 1, 0], [1, 3, -1], [0, -1, 2]], [9, 4, 4]))
    let product = [
      4 * solution[0] + solution[1], solution[0] + 3 * solution[1] - solution[2],
      2 * solution[2] - solution[1],
    ]
    for (found, expected) in zip(product, [9.0, 4, 4]) { #expect(abs(found - expected) < 1e-12) }
    #expect(SymmetricSystem.solution([[1, 2], [2, 1]], [1, 1]) == nil)
  }

  @Test func aSurfaceIsFoundAgain() {
    let surface = LossSurface(fitting: cells())
    let t = Self.truth
    #expect(abs(surface.alpha / t.alpha - 1) < 0.02, "\(surface)")
    #expect(abs(surface.beta / t.beta - 1) < 0.02, "\(surface)")
    #expect(abs(surface.floor / t.floor - 1) < 0.05, "\(surface)")
    #expect(abs(surface.logA - log(t.a)) < 0.1 && abs(surface.logB - log(t.b)) < 0.1)
    #expect(surface.residual < 1e-4)
    #expect(surface.refusal(on: cells()) == nil)
  }

  /// With C = 6ND the laws are equation 4 of Hoffmann et al. 2022, and the optimum is the lowest point of
  /// the surface along constant compute, whatever the cost.
  @Test(arguments: [PowerLaw(6, 1), PowerLaw(40, 0.9)])
  func theOptimumIsTheLowestLoss(cost: PowerLaw) {
    let surface = LossSurface(fitting: cells())
    let (parameters, tokens) = ScalingFit.laws(surface, cost)
    if cost.exponent == 1 {
      let g = pow(
        surface.alpha * exp(surface.logA) / (surface.beta * exp(surface.logB)),
        1 / (surface.alpha + surface.beta))
      let c = 1e15
      let a = surface.beta / (surface.alpha + surface.beta)
      #expect(abs(parameters(c) / (g * pow(c / 6, a)) - 1) < 1e-9)
      #expect(abs(tokens(c) / (pow(c / 6, 1 - a) / g) - 1) < 1e-9)
    }
    for compute in [1e13, 1e15, 1e17] {
      let best = parameters(compute)
      func loss(_ n: Double) -> Double {
        surface.loss(parameters: n, tokens: compute / cost(n))
      }
      #expect(abs(cost(best) * tokens(compute) / compute - 1) < 1e-9)
      #expect(loss(best) < loss(best * 1.02) && loss(best) < loss(best / 1.02))
    }
  }

  /// Sizes that cost the same have no best one.
  @Test func sizesOfOneCostAreRefused() {
    let points = cells().map { point in
      ScalingPoint(
        parameters: point.parameters, tokens: point.tokens, compute: point.tokens * 1e-12,
        loss: point.loss)
    }
    let fit = ScalingFit(points, seed: 1, resamples: 0)
    guard case .failure(let refusal) = fit.optimum else {
      Issue.record("an optimum of sizes that cost the same")
      return
    }
    #expect(refusal.description.contains("N^0.00"))
  }

  /// Of nine cells most resamples have fewer different ones than a surface needs.
  @Test func fewCellsHaveNoIntervals() throws {
    let fit = ScalingFit(
      cells(sizes: 3, budgets: [2e6, 5e6, 2e7], noise: 0.001), seed: 1, resamples: 40)
    let optimum = try fit.optimum.get()
    #expect(optimum.parameters.exponent.interval == nil)
    #expect(optimum.tokens.coefficient.interval == nil)
  }

  @Test(arguments: [ScalingArchitecture.llama, .hgrn2])
  func intervalsCoverTheTruth(architecture: ScalingArchitecture) throws {
    let exact = try ScalingFit(cells(architecture), seed: 1, resamples: 0).optimum.get()
    #expect(exact.parameters.exponent.interval == nil)
    let points = cells(architecture, noise: 0.004)
    let fit = ScalingFit(points, seed: 1, resamples: 60)
    let optimum = try fit.optimum.get()
    let interval = try #require(optimum.parameters.exponent.interval)
    #expect(interval.lowerBound < interval.upperBound)
    // The 80 % interval is widened by itself: one draw of noise may fall outside of it.
    let width = interval.upperBound - interval.lowerBound
    let wide = (interval.lowerBound - width)...(interval.upperBound + width)
    #expect(wide.contains(exact.parameters.exponent.value), "\(interval)")
    #expect(abs(optimum.parameters.exponent.value - exact.parameters.exponent.value) < 0.15)
    #expect(optimum.surface.residual > 1e-4 && optimum.surface.residual < 0.01)
    let loss = try fit.loss.get()
    #expect(loss.exponent.value < 0)
    #expect(try #require(loss.exponent.interval).contains(loss.exponent.value))
    // Seeded: the same again, and another seed another interval.
    let again = try ScalingFit(points, seed: 1, resamples: 60).optimum.get()
    #expect(again == optimum)
    #expect(try ScalingFit(points, seed: 2, resamples: 60).optimum.get() != optimum)
  }

  @Test func theFrontierHoldsWhatNothingCheaperBeats() {
    func point(_ compute: Double, _ loss: Double) -> ScalingPoint {
      ScalingPoint(parameters: 1, tokens: 1, compute: compute, loss: loss)
    }
    let points = [point(1, 5), point(2, 5.5), point(3, 4), point(3, 4.5), point(9, 3)]
    #expect(ScalingFit.frontier(of: points) == [0, 2, 4])
  }

  @Test func tooFewCellsGiveNoNumbers() {
    func reason<T>(_ result: Result<T, FitRefusal>) -> String {
      if case .failure(let refusal) = result { return refusal.description }
      return ""
    }
    let few = ScalingFit(cells(sizes: 2, budgets: [1e6]), seed: 1)
    #expect(reason(few.loss).contains("2 cells are on the frontier"))
    #expect(reason(few.optimum).contains("2 cells of 2 sizes and 1 budgets"))
    #expect(reason(ScalingFit(cells(budgets: [1e6, 2e6]), seed: 1).optimum).contains("2 budgets"))
    let none = ScalingFit([], seed: 1)
    #expect(reason(none.loss).contains("0 cells") && reason(none.optimum).contains("0 cells"))

    // Larger models that are no better say nothing about the best size.
    let flat = cells().map { point in
      var point = point
      point.loss = 2 + 300 * pow(point.tokens, -0.4) + 1e-9 * point.parameters
      return point
    }
    #expect(
      reason(ScalingFit(flat, seed: 1, resamples: 0).optimum)
        .contains("does not fall with the number of parameters"))
  }

  @Test func quantilesLieBetweenValues() {
    #expect(ScalingFit.quantile([1, 2, 3, 4, 5], 0.1) == 1.4)
    #expect(ScalingFit.quantile([1, 2, 3, 4, 5], 0.5) == 3)
    #expect(ScalingFit.quantile([7], 0.9) == 7)
  }
}
