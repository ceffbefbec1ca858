extension CUDABackend {
  package func crossProduct(_ a_RM: Tensor, _ b_RN: Tensor, into c_MN: Tensor) {
    fillZero(c_MN)
    // Double throughout, some rows at a time: the widened copies stay small beside the weights.
    let block = 8192
    let isGram = a_RM.address == b_RN.address && a_RM.columns == b_RN.columns
    for start in stride(from: 0, to: a_RM.rows, by: block) {
      let rows = start..<min(a_RM.rows, start + block)
      let a = converted(a_RM.slice(rows), to: .f64)
      let b = isGram ? a : converted(b_RN.slice(rows), to: .f64)
      matmul(a, transposeA: true, b, transposeB: false, alpha: 1, into: c_MN, accumulate: true)
    }
  }
}
