/// A linear axis: a data interval widened to round numbers, and the ticks on it.
///
/// Steps are 1, 2, 2.5 or 5 times a power of ten (as in Heckbert, "Nice numbers for graph labels",
/// Graphics Gems, 1990, with 2.5 added).
public struct AxisScale: Equatable, Sendable {
  /// The first tick, at or below the smallest value.
  public let lower: Double
  /// The last tick, at or above the largest value.
  public let upper: Double
  /// The distance between ticks.
  public let step: Double

  /// - Parameters:
  ///   - values: data to be shown; what is not finite is ignored.
  ///   - includesZero: bars start at zero, lines need not.
  ///   - tickGoal: about how many intervals to make.
  ///   - smallestStep: no ticks are closer; 0 for any.
  public init(
    covering values: some Sequence<Double>, includesZero: Bool = false, tickGoal: Int = 5,
    smallestStep: Double = 0
  ) {
    var low = Double.infinity
    var high = -Double.infinity
    for value in values where value.isFinite {
      low = min(low, value)
      high = max(high, value)
    }
    if low > high { (low, high) = (0, 1) }
    if includesZero { (low, high) = (min(low, 0), max(high, 0)) }
    if high - low <= 1e-9 * max(1, low.magnitude) {
      let half = low == 0 ? 0.5 : low.magnitude * 0.1
      (low, high) = (includesZero && low >= 0 ? low : low - half, high + half)
    }
    let step = Self.niceStep(
      atLeast: max(smallestStep, (high - low) / Double(max(tickGoal, 1))))
    self.step = step
    lower = (low / step + 1e-9).rounded(.down) * step
    upper = (high / step - 1e-9).rounded(.up) * step
  }

  /// The tick values, from `lower` to `upper`.
  public var ticks: [Double] {
    let count = Int(((upper - lower) / step).rounded())
    // Multiples of the step, not a running sum, so that zero is exactly zero.
    let first = (lower / step).rounded()
    return (0...count).map { (first + Double($0)) * step }
  }

  /// A tick's text, with as many digits as the step needs.
  public func label(_ tick: Double) -> String {
    if max(lower.magnitude, upper.magnitude) >= 10_000 { return Decimals.short(tick) }
    return Decimals.fixed(tick, places: places)
  }

  /// Where a value lies between `lower` (0) and `upper` (1).
  public func position(_ value: Double) -> Double {
    (value - lower) / (upper - lower)
  }

  private var places: Int {
    var places = 0
    var scaled = step
    while places < 9 && (scaled - scaled.rounded()).magnitude > 1e-6 * scaled {
      scaled *= 10
      places += 1
    }
    return places
  }

  private static func niceStep(atLeast rough: Double) -> Double {
    var power = 1.0
    while power * 10 <= rough { power *= 10 }
    while power > rough { power /= 10 }
    for factor in [1, 2, 2.5, 5] where power * factor >= rough * (1 - 1e-9) {
      return power * factor
    }
    return power * 10
  }
}
