extension CPUBackend {
  package func crossProduct(_ a_RM: Tensor, _ b_RN: Tensor, into c_MN: Tensor) {
    fillZero(c_MN)
    let rows = a_RM.rows
    if a_RM.dtype == .f64 {
      guard rows > 0 else { return }
      return matmul(
        a_RM, transposeA: true, b_RN, transposeB: false, alpha: 1, into: c_MN, accumulate: true)
    }
    let block = 1024
    let part_MN = scratch(c_MN.shape, .f32)
    let add = kernels(.f32).add_columns
    for start in stride(from: 0, to: rows, by: block) {
      let range = start..<min(rows, start + block)
      matmul(
        a_RM.slice(range), transposeA: true, b_RN.slice(range), transposeB: false, alpha: 1,
        into: part_MN, accumulate: false)
      // The product as one row of columns: each is widened and added.
      pool.forRanges(c_MN.count, minimum: parallelGrain) { entries in
        let i = entries.lowerBound
        add?(part_MN.pointer(at: i), c_MN.doubles + i, 1, entries.count, c_MN.count, 0)
      }
    }
  }
}
