import Glibc

/// Numbers as people read them.
enum Quantity {
  /// A count with separators, such as `32 506 368`.
  static func count(_ value: Int) -> String {
    var digits = Array(String(value.magnitude))
    var index = digits.count - 3
    while index > 0 {
      digits.insert(" ", at: index)
      index -= 3
    }
    return (value < 0 ? "-" : "") + String(digits)
  }

  /// A size in bytes with a decimal unit, such as `65.0 MB`.
  static func bytes(_ value: Int) -> String {
    var amount = Double(value)
    for unit in ["B", "kB", "MB", "GB"] {
      if amount < 1000 { return unit == "B" ? "\(value) B" : "\(fixed(amount, 1)) \(unit)" }
      amount /= 1000
    }
    return "\(fixed(amount, 1)) TB"
  }

  /// A number with `digits` digits behind the point.
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
    let scale = pow(10, Double(digits))
    let scaled = Int64((abs(value) * scale).rounded())
    let whole = scaled / Int64(scale)
    guard digits > 0 else { return (value < 0 ? "-" : "") + "\(whole)" }
    let rest = String(scaled % Int64(scale))
    let zeros = String(repeating: "0", count: digits - rest.count)
    return (value < 0 && scaled > 0 ? "-" : "") + "\(whole).\(zeros)\(rest)"
  }

  /// A share as a percentage.
  static func percent(_ share: Double, _ digits: Int = 1) -> String {
    fixed(share * 100, digits) + " %"
  }
}
