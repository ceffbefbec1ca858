/// Column arithmetic written out from the last digit to the first, carries and borrows shown.
enum ColumnArithmetic {
  /// 347 + 85 gives `7+5=12, 4+8+1=13, 3+0+1=4`.
  static func addition(_ a: Int, _ b: Int) -> String {
    var (x, y, carry) = (a, b, 0)
    var steps: [String] = []
    repeat {
      let total = x % 10 + y % 10 + carry
      steps.append("\(x % 10)+\(y % 10)\(carry == 1 ? "+1" : "")=\(total)")
      carry = total / 10
      x /= 10
      y /= 10
    } while x > 0 || y > 0
    return steps.joined(separator: ", ")
  }

  /// 512 - 87 gives `12-7=5, 11-8-1=2, 5-0-1=4`; a must be at least b.
  static func subtraction(_ a: Int, _ b: Int) -> String {
    var (x, y, borrow) = (a, b, 0)
    var steps: [String] = []
    repeat {
      let lacking = x % 10 - y % 10 - borrow < 0
      let top = x % 10 + (lacking ? 10 : 0)
      steps.append(
        "\(top)-\(y % 10)\(borrow == 1 ? "-1" : "")=\(top - y % 10 - borrow)")
      borrow = lacking ? 1 : 0
      x /= 10
      y /= 10
    } while x > 0
    return steps.joined(separator: ", ")
  }

  /// 346 × 4 gives `6*4=24, 4*4=16, 16+2=18, 3*4=12, 12+1=13`.
  static func multiplication(_ a: Int, by digit: Int) -> String {
    var (x, carry) = (a, 0)
    var steps: [String] = []
    repeat {
      let product = x % 10 * digit
      let total = product + carry
      steps.append("\(x % 10)*\(digit)=\(product)")
      if carry > 0 { steps.append("\(product)+\(carry)=\(total)") }
      carry = total / 10
      x /= 10
    } while x > 0
    return steps.joined(separator: ", ")
  }
}
