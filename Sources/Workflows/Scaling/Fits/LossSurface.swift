import Glibc

/// A trained model as a fit sees it.
struct ScalingPoint: Equatable {
  /// N, parameters without embeddings.
  var parameters: Double
  /// D, tokens it was trained on.
  var tokens: Double
  /// C in PFLOP/s-days.
  var compute: Double
  /// Held-out loss in nats.
  var loss: Double
}

/// Why there is no fit.
struct FitRefusal: Error, Equatable, CustomStringConvertible {
  let description: String
}

/// L(N, D) = E + A·N^−α + B·D^−β (Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models",
/// arXiv 2203.15556, approach 3): the Huber loss of log L with δ = 10⁻³ is minimised from several starts.
///
/// They minimise by L-BFGS; here the starts are the best least squares over a grid of exponents, for which
/// the rest is linear, and each is improved by Levenberg and Marquardt's steps, residuals beyond δ weighted
/// down as Huber's loss says.
struct LossSurface: Equatable {
  /// E.
  private(set) var floor = 0.0
  /// ln A and ln B: the coefficients themselves span many orders of magnitude.
  private(set) var logA = 0.0
  private(set) var logB = 0.0
  private(set) var alpha = 0.0
  private(set) var beta = 0.0
  /// The root mean square of the relative error on the points of the fit.
  private(set) var residual = 0.0

  static let exponents = 0.02...4.0
  private static let delta = 1e-3

  private static func huber(_ error: Double) -> Double {
    error <= delta ? error * error / 2 : delta * (error - delta / 2)
  }

  /// The loss it predicts.
  func loss(parameters: Double, tokens: Double) -> Double {
    floor + exp(logA - alpha * log(parameters)) + exp(logB - beta * log(tokens))
  }

  /// Starts of the grid that are improved.
  private static let starts = 8

  /// Fits the surface.
  /// - Parameter start: A fit of nearly the same points, to start from in place of the grid.
  init(fitting points: [ScalingPoint], from start: LossSurface? = nil) {
    let rows = Rows(points)
    let candidates =
      start.map { [rows.unknowns(of: $0)] } ?? Array(rows.starts().prefix(Self.starts))
    var best: (cost: Double, unknowns: [Double])?
    for candidate in candidates {
      let improved = rows.improved(candidate)
      if improved.cost < best?.cost ?? .infinity { best = improved }
    }
    guard let unknowns = best?.unknowns else { return }
    alpha = exp(unknowns[3])
    beta = exp(unknowns[4])
    logA = unknowns[0] + alpha * rows.meanN
    logB = unknowns[1] + beta * rows.meanD
    floor = exp(unknowns[2])
    let errors = points.map { loss(parameters: $0.parameters, tokens: $0.tokens) / $0.loss - 1 }
    residual = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
  }

  /// Why the optimum of this surface says nothing; `nil` when it does.
  func refusal(on points: [ScalingPoint]) -> FitRefusal? {
    func fall(_ logs: [Double], _ coefficient: Double, _ exponent: Double) -> Double {
      let terms = logs.map { exp(coefficient - exponent * $0) }
      return (terms.max() ?? 0) - (terms.min() ?? 0)
    }
    let least = 1e-3 * (points.map(\.loss).min() ?? 0)
    for (name, what, logs, coefficient, exponent) in [
      ("α", "parameters", points.map { log($0.parameters) }, logA, alpha),
      ("β", "tokens", points.map { log($0.tokens) }, logB, beta),
    ] {
      guard fall(logs, coefficient, exponent) > least else {
        return FitRefusal(description: "the loss does not fall with the number of \(what)")
      }
      let (low, high) = (Self.exponents.lowerBound, Self.exponents.upperBound)
      guard exponent > low * 1.001, exponent < high * 0.999 else {
        return FitRefusal(
          description:
            "the cells do not determine \(name), which ran to \(exponent < 1 ? low : high)")
      }
    }
    return nil
  }

  /// The data as the minimisation sees them. The unknowns are ln A', ln B', ln E, ln α, ln β, with A' and B'
  /// the terms at the middle of the data.
  private struct Rows {
    let n: [Double]
    let d: [Double]
    let logLoss: [Double]
    let meanN: Double
    let meanD: Double

    init(_ points: [ScalingPoint]) {
      let count = Double(max(1, points.count))
      let (logN, logD) = (points.map { log($0.parameters) }, points.map { log($0.tokens) })
      let (middleN, middleD) = (logN.reduce(0, +) / count, logD.reduce(0, +) / count)
      meanN = middleN
      meanD = middleD
      n = logN.map { $0 - middleN }
      d = logD.map { $0 - middleD }
      logLoss = points.map { log($0.loss) }
    }

    func unknowns(of surface: LossSurface) -> [Double] {
      [
        surface.logA - surface.alpha * meanN, surface.logB - surface.beta * meanD,
        log(max(surface.floor, 1e-6)), log(surface.alpha), log(surface.beta),
      ]
    }

    /// The best least squares of relative errors for each pair of exponents of a grid, best pair first.
    func starts() -> [[Double]] {
      let grid = (0..<9).map { 0.05 * pow(2, Double($0) * 0.7) }
      var found: [(cost: Double, unknowns: [Double])] = []
      for alpha in grid {
        for beta in grid {
          let columns: [[Double]] = n.indices.map { index in
            let scale = exp(-logLoss[index])
            return [scale * exp(-alpha * n[index]), scale * exp(-beta * d[index]), scale]
          }
          guard let terms = Self.nonNegative(columns) else { continue }
          var cost = 0.0
          for column in columns {
            let error = column[0] * terms[0] + column[1] * terms[1] + column[2] * terms[2] - 1
            cost += error * error
          }
          found.append((cost, terms.map { log(max($0, 1e-4)) } + [log(alpha), log(beta)]))
        }
      }
      return found.sorted { $0.cost < $1.cost }.map(\.unknowns)
    }

    /// The three factors of at least 0 with which the columns come closest to 1 on every row: the best of
    /// all choices of factors that are not 0.
    private static func nonNegative(_ columns: [[Double]]) -> [Double]? {
      var best: (gain: Double, factors: [Double])?
      for choice in 1..<8 {
        let chosen = (0..<3).filter { choice >> $0 & 1 == 1 }
        func product(_ i: Int, _ j: Int) -> Double { columns.reduce(0.0) { $0 + $1[i] * $1[j] } }
        let gram = chosen.map { i in chosen.map { j in product(i, j) } }
        let right = chosen.map { i in columns.reduce(0.0) { $0 + $1[i] } }
        guard let solution = SymmetricSystem.solution(gram, right),
          solution.allSatisfy({ $0 >= 0 })
        else { continue }
        let gain = zip(solution, right).reduce(0.0) { $0 + $1.0 * $1.1 }
        guard gain > best?.gain ?? -.infinity else { continue }
        var factors = [0.0, 0, 0]
        for (place, factor) in zip(chosen, solution) { factors[place] = factor }
        best = (gain, factors)
      }
      return best?.factors
    }

    /// The logarithm of the predicted loss, and the shares of its three terms.
    private func prediction(_ u: [Double], _ index: Int) -> (log: Double, shares: [Double]) {
      let terms = [u[0] - exp(u[3]) * n[index], u[1] - exp(u[4]) * d[index], u[2]]
      let largest = max(terms[0], terms[1], terms[2])
      let parts = terms.map { exp($0 - largest) }
      let sum = parts[0] + parts[1] + parts[2]
      return (largest + log(sum), parts.map { $0 / sum })
    }

    private func cost(_ u: [Double]) -> Double {
      n.indices.reduce(0.0) { sum, index in
        let error = (prediction(u, index).log - logLoss[index]).magnitude
        return sum + LossSurface.huber(error)
      }
    }

    /// Improves the unknowns until steps gain nothing.
    func improved(_ start: [Double]) -> (cost: Double, unknowns: [Double]) {
      var u = bounded(start)
      var cost = cost(u)
      var damping = 1e-3
      for _ in 0..<400 {
        let (matrix, gradient) = equations(u)
        var damped = matrix
        for row in damped.indices { damped[row][row] += damping * matrix[row][row] + 1e-12 }
        guard let step = SymmetricSystem.solution(damped, gradient) else {
          damping *= 10
          if damping > 1e9 { break }
          continue
        }
        let next = bounded(zip(u, step).map { old, step in old - min(1, max(-1, step)) })
        let nextCost = self.cost(next)
        guard nextCost < cost else {
          damping *= 4
          if damping > 1e9 { break }
          continue
        }
        let gain = cost - nextCost
        (u, cost) = (next, nextCost)
        damping = max(1e-9, damping / 3)
        if gain < 1e-10 * cost { break }
      }
      return (cost, u)
    }

    /// Gauss and Newton's matrix and the gradient, with Huber's weights.
    private func equations(_ u: [Double]) -> ([[Double]], [Double]) {
      var matrix = [[Double]](repeating: [Double](repeating: 0, count: 5), count: 5)
      var gradient = [Double](repeating: 0, count: 5)
      for index in n.indices {
        let (value, shares) = prediction(u, index)
        let error = value - logLoss[index]
        let weight = min(1, LossSurface.delta / max(error.magnitude, 1e-300))
        let slope = [
          shares[0], shares[1], shares[2], -shares[0] * exp(u[3]) * n[index],
          -shares[1] * exp(u[4]) * d[index],
        ]
        for row in 0..<5 {
          gradient[row] += weight * slope[row] * error
          for column in 0..<5 { matrix[row][column] += weight * slope[row] * slope[column] }
        }
      }
      return (matrix, gradient)
    }

    /// Exponents stay where they mean something, and terms where their logarithm does.
    private func bounded(_ u: [Double]) -> [Double] {
      let (low, high) = (
        log(LossSurface.exponents.lowerBound), log(LossSurface.exponents.upperBound)
      )
      return u.prefix(3).map { min(30, max(-30, $0)) }
        + u.suffix(2).map { min(high, max(low, $0)) }
    }
  }
}
