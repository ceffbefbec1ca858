import Glibc

extension CPUBackend {
  package func noisyForward(
    _ scores: Tensor, noise: Tensor, spread: Tensor?, least: Double, into y: Tensor
  ) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let source = scores.pointer.assumingMemoryBound(to: type)
      let values = noise.pointer.assumingMemoryBound(to: type)
      let sizes = spread?.pointer.assumingMemoryBound(to: type)
      let target = y.pointer.assumingMemoryBound(to: type)
      for i in 0..<scores.count {
        let size = sizes.map { softplus(Double($0[i])) + least } ?? least
        target[i] = Element(Double(source[i]) + Double(values[i]) * size)
      }
    }
    if scores.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }

  package func noisyBackward(
    _ dy: Tensor, noise: Tensor, spread: Tensor, into dSpread: Tensor, accumulate: Bool
  ) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let upstream = dy.pointer.assumingMemoryBound(to: type)
      let values = noise.pointer.assumingMemoryBound(to: type)
      let sizes = spread.pointer.assumingMemoryBound(to: type)
      let target = dSpread.pointer.assumingMemoryBound(to: type)
      for i in 0..<spread.count {
        let slope = Element(
          Double(upstream[i]) * Double(values[i]) / (1 + exp(-Double(sizes[i]))))
        target[i] = accumulate ? target[i] + slope : slope
      }
    }
    if spread.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }

  /// `ln(1 + e^x)`, without overflow.
  private func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
}
