extension CPUBackend {
  package func absoluteForward(_ x: Tensor, into y: Tensor) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let source = x.pointer.assumingMemoryBound(to: type)
      let target = y.pointer.assumingMemoryBound(to: type)
      for i in 0..<x.count { target[i] = abs(source[i]) }
    }
    if x.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }

  package func absoluteBackward(_ dy: Tensor, _ x: Tensor, into dx: Tensor, accumulate: Bool) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let upstream = dy.pointer.assumingMemoryBound(to: type)
      let source = x.pointer.assumingMemoryBound(to: type)
      let target = dx.pointer.assumingMemoryBound(to: type)
      for i in 0..<x.count {
        let slope = source[i] > 0 ? upstream[i] : source[i] < 0 ? -upstream[i] : 0
        target[i] = accumulate ? target[i] + slope : slope
      }
    }
    if x.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }
}
