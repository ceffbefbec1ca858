extension CPUBackend {
  package func jitter(
    _ x: Tensor, by size: Double, seed: UInt64, into y: Tensor, accumulate: Bool
  ) {
    precondition(x.dtype == y.dtype, "jitter: \(x.dtype) into \(y.dtype)")
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let source = x.pointer.assumingMemoryBound(to: type)
      let target = y.pointer.assumingMemoryBound(to: type)
      pool.forRanges(x.count, minimum: parallelGrain) { range in
        for i in range {
          let unit = Double(RandomStream.draw(i, seed: seed) >> 40) * 0x1p-24
          let value = source[i] * Element(1 + size * (2 * unit - 1))
          target[i] = accumulate ? target[i] + value : value
        }
      }
    }
    if x.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }
}
