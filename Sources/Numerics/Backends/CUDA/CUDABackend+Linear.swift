extension CUDABackend {
  package func matmul(
    _ a: Tensor, transposeA: Bool, _ b: Tensor, transposeB: Bool, alpha: Double, into c: Tensor,
    accumulate: Bool
  ) {
    let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
    let n = transposeB ? b.rows : b.columns
    precondition((transposeB ? b.columns : b.rows) == k && c.rows == m && c.columns == n)
    guard m > 0, n > 0 else { return }
    guard k > 0 else {
      if !accumulate { fillZero(c) }
      return
    }
    // Weights follow the activations' type, and what gives activations is itself rounded to theirs;
    // sums are in f32 either way.
    let isHalf = a.dtype == .bf16 || c.dtype == .bf16
    let type: DType = a.dtype == .f64 ? .f64 : isHalf ? .bf16 : .f32
    let (left, right) = (converted(a, to: type), converted(b, to: type))
    let addresses = left.address | right.address | c.address
    lastOverlaps = false
    products.multiply(
      .init(
        m: m, n: n, k: k, transposeA: transposeA, transposeB: transposeB, inputs: type,
        output: c.dtype, alignment: UInt32(1 << min(8, addresses.trailingZeroBitCount))),
      alpha: alpha, left.address, right.address, beta: accumulate ? 1 : 0, into: c.address)
  }
}
