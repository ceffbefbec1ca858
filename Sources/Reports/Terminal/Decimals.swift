import Glibc

/// Decimal spellings of numbers for tables and charts, independent of the locale.
public enum Decimals {
  /// Exactly `places` digits after the point, rounded half away from zero: `2.50`, `-0.1`.
  /// NaN and the infinities give `nan`, `inf`, `-inf`; huge numbers their shortest spelling.
  public static func fixed(_ value: Double, places: Int) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    let places = min(max(places, 0), 12)
    let power = (0..<places).reduce(1.0) { product, _ in product * 10 }
    let scaled = (value.magnitude * power).rounded()
    guard scaled < 9e15 else { return "\(value)" }
    let digits = String(Int64(scaled))
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard places > 0 else { return sign + padded }
    return sign + padded.dropLast(places) + "." + padded.suffix(places)
  }

  /// At most `places` digits after the point, without trailing zeros: `2.5`, `3`.
  public static func trimmed(_ value: Double, places: Int) -> String {
    var text = fixed(value, places: places)
    guard text.contains("."), !text.contains("e") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text
  }

  /// About three digits with a letter for thousands: `0.52`, `7.3`, `850`, `12.5k`, `3.41M`.
  public static func short(_ value: Double) -> String {
    for (scale, suffix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
    where value.magnitude >= scale * 0.9995 {
      let scaled = value / scale
      let places = scaled.magnitude < 9.995 ? 2 : scaled.magnitude < 99.95 ? 1 : 0
      return trimmed(scaled, places: places) + suffix
    }
    let places = value.magnitude < 0.995 ? 3 : value.magnitude < 9.995 ? 2 : 1
    return trimmed(value, places: value.magnitude < 99.95 ? places : 0)
  }

  /// Three digits and a power of ten, without trailing zeros: `2.5e-7`, `1e6`, `0`.
  public static func scientific(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return fixed(value, places: 0) }
    var exponent = Int(log10(value.magnitude).rounded(.down))
    var mantissa = value / pow(10, Double(exponent))
    // The logarithm and the rounding to three digits may both end a power too low.
    if mantissa.magnitude < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    if mantissa.magnitude >= 9.995 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    return "\(trimmed(mantissa, places: 2))e\(exponent)"
  }
}
