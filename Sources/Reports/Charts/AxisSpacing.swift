import Glibc

/// How values are spaced along an axis.
public enum AxisSpacing: Sendable {
  case linear
  /// Equal factors take equal space; ticks at powers of two.
  case powersOfTwo
  /// Equal factors take equal space; ticks at powers of ten, or at round numbers where the axis is too
  /// short for two of them.
  case logarithmic

  /// A value where the axis is linear; not a number where it cannot be shown.
  func place(_ value: Double) -> Double {
    switch self {
    case .linear: value
    case .powersOfTwo: value > 0 ? log2(value) : .nan
    case .logarithmic: value > 0 ? log10(value) : .nan
    }
  }

  /// The ticks of an axis whose scale covers the places of its values.
  func ticks(_ scale: AxisScale) -> [(value: Double, label: String)] {
    switch self {
    case .linear: scale.ticks.map { ($0, scale.label($0)) }
    case .powersOfTwo:
      Self.whole(scale).map { power in
        let value = Double(sign: .plus, exponent: power, significand: 1)
        return (value, Decimals.trimmed(value, places: 4))
      }
    case .logarithmic: logarithmicTicks(scale)
    }
  }

  private func logarithmicTicks(_ scale: AxisScale) -> [(value: Double, label: String)] {
    let decades = Self.whole(scale).map { pow(10, Double($0)) }
    if decades.count >= 3 {
      let every = (decades.count + 7) / 8
      return decades.enumerated().filter { $0.offset % every == 0 }.map {
        ($0.element, Self.label($0.element))
      }
    }
    let (low, high) = (pow(10, scale.lower), pow(10, scale.upper))
    let shown = low * (1 - 1e-9)...high * (1 + 1e-9)
    var values = AxisScale(covering: [low, high]).ticks
    if high / low >= 10 {
      values = []
      for power in Int(scale.lower.rounded(.down))...Int(scale.upper.rounded(.up)) {
        let decade = pow(10, Double(power))
        values += [decade, 2 * decade, 5 * decade]
      }
    }
    return values.filter { shown.contains($0) }.map { ($0, Self.label($0)) }
  }

  /// The whole numbers of a scale.
  private static func whole(_ scale: AxisScale) -> ClosedRange<Int> {
    let low = Int(scale.lower.rounded(.up))
    return low...max(low, Int(scale.upper.rounded(.down)))
  }

  private static func label(_ value: Double) -> String {
    (1e-3..<1e3).contains(value) ? Decimals.trimmed(value, places: 4) : Decimals.scientific(value)
  }
}
