import Glibc
import Testing

@testable import Numerics

@Suite struct StandardNormalTests {
  /// The fraction of the distribution below a quantile, by the C library, is what was asked for.
  @Test func quantilesInvertTheDistribution() {
    for exponent in stride(from: -52.0, through: -1, by: 0.25) {
      let p = exp2(exponent)
      let below = erfc(-StandardNormal.quantile(p) / 2.0.squareRoot()) / 2
      #expect(abs(below - p) <= 5e-14 * p, "\(p)")
      // 1 - p is rounded, by less than 2^-53; far out that is a part of p.
      let mirrored = StandardNormal.quantile(1 - p)
      #expect(abs(mirrored + StandardNormal.quantile(1 - (1 - p))) <= 1e-12, "\(p)")
    }
    // Tabulated values.
    #expect(StandardNormal.quantile(0.5) == 0)
    #expect(abs(StandardNormal.quantile(0.975) - 1.959963984540054) < 1e-15)
    #expect(abs(StandardNormal.quantile(1e-9) + 5.997807015007687) < 1e-14)
  }

  @Test func logarithmsAreThoseOfTheLibrary() {
    for exponent in stride(from: -60.0, through: 20, by: 0.37) {
      let x = exp2(exponent)
      #expect(abs(StandardNormal.logarithm(x) - log(x)) <= 4e-16 * max(1, abs(log(x))), "\(x)")
    }
  }

  @Test func drawsHaveTheMomentsOfTheDistribution() {
    var random = RandomStream(seed: 3)
    let values = (0..<40000).map { _ in random.standardNormal() }
    func moment(_ power: Double) -> Double {
      values.reduce(0) { $0 + pow($1, power) } / Double(values.count)
    }
    #expect(abs(moment(1)) < 0.02 && abs(moment(2) - 1) < 0.03)
    #expect(abs(moment(3)) < 0.1 && abs(moment(4) - 3) < 0.2)
    let within = values.count { abs($0) < 1.959963984540054 }
    #expect(abs(Double(within) / 40000 - 0.95) < 0.005)
    var (again, other) = (RandomStream(seed: 3), RandomStream(seed: 4))
    #expect(again.standardNormal() == values[0] && other.standardNormal() != values[0])
  }
}
