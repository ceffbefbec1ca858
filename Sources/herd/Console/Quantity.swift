import Reports

/// Numbers as people read them.
enum Quantity {
  /// A count with separators, such as `32 506 368`.
  static func count(_ value: Int) -> String {
    var digits = Array(String(value))
    for index in stride(from: digits.count - 3, to: value < 0 ? 1 : 0, by: -3) {
      digits.insert(" ", at: index)
    }
    return String(digits)
  }

  /// A size in bytes with a decimal unit, such as `65.0 MB`.
  static func bytes(_ value: Int) -> String {
    guard value >= 1000 else { return "\(value) B" }
    var amount = Double(value) / 1000
    for unit in ["kB", "MB", "GB"] {
      if amount < 1000 { return "\(Decimals.fixed(amount, places: 1)) \(unit)" }
      amount /= 1000
    }
    return "\(Decimals.fixed(amount, places: 1)) TB"
  }

  /// A share as a percentage.
  static func percent(_ share: Double) -> String { Decimals.fixed(share * 100, places: 1) + " %" }
}
