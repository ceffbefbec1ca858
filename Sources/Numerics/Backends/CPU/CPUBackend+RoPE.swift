import CKernels

extension CPUBackend {
  package func ropeTable(
    positions: Tensor, inverseFrequencies: Tensor, cosines: Tensor, sines: Tensor
  ) {
    let kernel = kernels(cosines.dtype).rope_table
    let half = inverseFrequencies.count
    pool.forRanges(positions.count, minimum: max(1, parallelGrain / 16 / max(1, half))) { rows in
      let i = rows.lowerBound
      kernel?(
        positions.integers + i, inverseFrequencies.pointer, cosines.pointer(at: i * half),
        sines.pointer(at: i * half), rows.count, half)
    }
  }

  package func rope(
    _ x: Tensor, cosines: Tensor, sines: Tensor, heads: Int, inverse: Bool, into y: Tensor,
    accumulate: Bool
  ) {
    let kernel = kernels(x.dtype).rope
    let half = cosines.columns
    let columns = heads * 2 * half
    pool.forRanges(cosines.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      let i = rows.lowerBound
      kernel?(
        x.pointer(at: i * columns), cosines.pointer(at: i * half), sines.pointer(at: i * half),
        y.pointer(at: i * columns), rows.count, heads, half, inverse ? 1 : 0, accumulate ? 1 : 0)
    }
  }
}
