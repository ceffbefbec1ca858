extension CPUBackend {
  package func thresholdForward(
    _ logits_TE: Tensor, experts_TK: Tensor, weights_TK: Tensor, threshold: Double,
    kept experts: Tensor, weights: Tensor, counts_E: Tensor
  ) {
    fillZero(counts_E)
    let (width, topK) = (logits_TE.columns, experts_TK.columns)
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let logits = logits_TE.pointer.assumingMemoryBound(to: type)
      let source = weights_TK.pointer.assumingMemoryBound(to: type)
      let target = weights.pointer.assumingMemoryBound(to: type)
      // Rounded as a device with single precision has it.
      let least = Element(threshold)
      for slot in 0..<experts_TK.count {
        let expert = Int(experts_TK.integers[slot])
        let isKept = slot % topK == 0 || logits[slot / topK * width + expert] >= least
        experts.integers[slot] = isKept ? Int32(expert) : -1
        target[slot] = isKept ? source[slot] : 0
        if isKept { counts_E.integers[expert] += 1 }
      }
    }
    if logits_TE.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }

  package func thresholdBackward(
    _ dy_TK: Tensor, kept experts_TK: Tensor, into dWeights_TK: Tensor, accumulate: Bool
  ) {
    func run<Element: BinaryFloatingPoint>(_ type: Element.Type) {
      let upstream = dy_TK.pointer.assumingMemoryBound(to: type)
      let target = dWeights_TK.pointer.assumingMemoryBound(to: type)
      for slot in 0..<experts_TK.count {
        let slope = experts_TK.integers[slot] < 0 ? 0 : upstream[slot]
        target[slot] = accumulate ? target[slot] + slope : slope
      }
    }
    if dWeights_TK.dtype == .f64 { run(Double.self) } else { run(Float.self) }
  }
}
