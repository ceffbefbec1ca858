/// The normal distribution of mean 0 and deviation 1.
///
/// Made of the four operations and square roots only, which round alike on every machine: a value
/// drawn from a seed is the same wherever it is drawn.
enum StandardNormal {
  /// The value below which the fraction `p` of the distribution lies, to about 16 digits (Wichura
  /// 1988, *Algorithm AS 241*, PPND16).
  /// - Precondition: `p` is above 0 and below 1.
  static func quantile(_ p: Double) -> Double {
    precondition(p > 0 && p < 1)
    let q = p - 0.5
    if abs(q) <= 0.425 {
      let r = 0.180625 - q * q
      return q * ratio(r, centre)
    }
    let r = (-logarithm(min(p, 1 - p))).squareRoot()
    let value = r <= 5 ? ratio(r - 1.6, tail) : ratio(r - 5, farTail)
    return q < 0 ? -value : value
  }

  /// The natural logarithm of a normal positive number.
  static func logarithm(_ x: Double) -> Double {
    var (exponent, significand) = (Double(x.exponent), x.significand)
    if significand > 1.4142135623730951 {
      significand /= 2
      exponent += 1
    }
    // ln m = 2·(s + s³/3 + s⁵/5 + …) with s = (m - 1) / (m + 1), here below 0.172.
    let s = (significand - 1) / (significand + 1)
    var sum = 0.0
    for power in stride(from: 23.0, through: 1, by: -2) { sum = sum * s * s + 1 / power }
    return exponent * 0.6931471805599453 + 2 * s * sum
  }

  /// A coefficient above the line of a fraction, and that of the same power below.
  private typealias Pair = SIMD2<Double>

  /// The fraction of two polynomials, highest power first.
  private static func ratio(_ r: Double, _ coefficients: [Pair]) -> Double {
    var sums = Pair.zero
    for pair in coefficients { sums = sums * r + pair }
    return sums[0] / sums[1]
  }

  private static let centre: [Pair] = [
    Pair(2.5090809287301226727e3, 5.2264952788528545610e3),
    Pair(3.3430575583588128105e4, 2.8729085735721942674e4),
    Pair(6.7265770927008700853e4, 3.9307895800092710610e4),
    Pair(4.5921953931549871457e4, 2.1213794301586595867e4),
    Pair(1.3731693765509461125e4, 5.3941960214247511077e3),
    Pair(1.9715909503065514427e3, 6.8718700749205790830e2),
    Pair(1.3314166789178437745e2, 4.2313330701600911252e1),
    Pair(3.3871328727963666080, 1),
  ]

  private static let tail: [Pair] = [
    Pair(7.74545014278341407640e-4, 1.05075007164441684324e-9),
    Pair(2.27238449892691845833e-2, 5.47593808499534494600e-4),
    Pair(2.41780725177450611770e-1, 1.51986665636164571966e-2),
    Pair(1.27045825245236838258, 1.48103976427480074590e-1),
    Pair(3.64784832476320460504, 6.89767334985100004550e-1),
    Pair(5.76949722146069140550, 1.67638483018380384940),
    Pair(4.63033784615654529590, 2.05319162663775882187),
    Pair(1.42343711074968357734, 1),
  ]

  private static let farTail: [Pair] = [
    Pair(2.01033439929228813265e-7, 2.04426310338993978564e-15),
    Pair(2.71155556874348757815e-5, 1.42151175831644588870e-7),
    Pair(1.24266094738807843860e-3, 1.84631831751005468180e-5),
    Pair(2.65321895265761230930e-2, 7.86869131145613259100e-4),
    Pair(2.96560571828504891230e-1, 1.48753612908506148525e-2),
    Pair(1.78482653991729133580, 1.36929880922735805310e-1),
    Pair(5.46378491116411436990, 5.99832206555887937690e-1),
    Pair(6.65790464350110377720, 1),
  ]
}

extension RandomStream {
  /// Standard normal, the same on every machine.
  public mutating func standardNormal() -> Double {
    // The middle of one of 2^52 equal parts of the unit interval: never 0, never 1.
    StandardNormal.quantile((Double(next() >> 12) + 0.5) * 0x1p-52)
  }
}
