import Glibc

extension Double {
  /// The number with a fixed count of digits after the point, for people.
  func rounded(to digits: Int) -> String {
    guard isFinite else { return "\(self)" }
    let factor = pow(10, Double(digits))
    let scaled = Int((abs(self) * factor).rounded())
    let whole = scaled / Int(factor)
    let fraction = String(scaled % Int(factor))
    let sign = self < 0 && scaled > 0 ? "-" : ""
    guard digits > 0 else { return "\(sign)\(whole)" }
    return "\(sign)\(whole).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
  }
}
