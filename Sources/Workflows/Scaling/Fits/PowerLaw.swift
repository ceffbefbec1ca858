import Glibc

/// y = coefficient · x^exponent.
struct PowerLaw: Equatable {
  var coefficient: Double
  var exponent: Double

  init(_ coefficient: Double, _ exponent: Double) {
    self.coefficient = coefficient
    self.exponent = exponent
  }

  /// The law with the least squares of the logarithms; `nil` without two different x.
  /// - Parameter points: Points with positive coordinates.
  init?(fitting points: [(x: Double, y: Double)]) {
    guard !points.isEmpty else { return nil }
    let (x, y) = (points.map { log($0.x) }, points.map { log($0.y) })
    let count = Double(points.count)
    let (meanX, meanY) = (x.reduce(0, +) / count, y.reduce(0, +) / count)
    var (square, product) = (0.0, 0.0)
    for (x, y) in zip(x, y) {
      square += (x - meanX) * (x - meanX)
      product += (x - meanX) * (y - meanY)
    }
    guard square > 1e-12, (product / square).isFinite else { return nil }
    self.init(exp(meanY - product / square * meanX), product / square)
  }

  func callAsFunction(_ x: Double) -> Double { coefficient * pow(x, exponent) }
}
