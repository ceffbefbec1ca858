/// The root mean square of `a - b` over the root mean square of `b`: how far a fast result is from
/// its reference. Infinite when any value is not finite or the sizes differ.
public func relativeError(_ a: [Double], _ b: [Double]) -> Double {
  guard a.count == b.count, a.allSatisfy(\.isFinite), b.allSatisfy(\.isFinite) else {
    return .infinity
  }
  let difference = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
  let size = b.reduce(0) { $0 + $1 * $1 }
  return (difference / max(size, 1e-30)).squareRoot()
}

/// ``relativeError(_:_:)`` for single precision against a reference.
public func relativeError(_ a: [Float], _ b: [Double]) -> Double {
  relativeError(a.map(Double.init), b)
}
