import CKernels

extension CPUBackend {
  package func weightedEnergy(
    _ h_TI: Tensor, weights_I: Tensor, into energy_TI: Tensor, sums_I: Tensor
  ) {
    let kernel = kernels(h_TI.dtype).weighted_energy
    let (tokens, width) = (h_TI.rows, h_TI.columns)
    guard tokens > 0 else { return }
    pool.forRanges(width, minimum: max(16, parallelGrain / tokens)) { columns in
      let i = columns.lowerBound
      kernel?(
        h_TI.pointer(at: i), weights_I.pointer(at: i), energy_TI.pointer(at: i),
        sums_I.doubles + i, tokens, columns.count, width)
    }
  }

  package func energyShares(
    _ energy_TI: Tensor, columns_N: Tensor, totals_T: Tensor, into shares_NT: Tensor
  ) {
    let kernel = kernels(energy_TI.dtype).energy_shares
    let (tokens, width) = (energy_TI.rows, energy_TI.columns)
    guard tokens > 0 else { return }
    // Few neurons at a time: their entries of 64 tokens stay in the cache.
    let step = 16
    pool.run((columns_N.count + step - 1) / step) { part in
      let first = part * step
      kernel?(
        energy_TI.pointer, columns_N.integers, totals_T.pointer,
        shares_NT.pointer(at: first * tokens), tokens, width, first,
        min(columns_N.count, first + step))
    }
  }

  package func unitRoots(_ x_RC: Tensor, totals_R: Tensor, into y_RC: Tensor) {
    let kernel = kernels(x_RC.dtype).unit_roots
    let columns = x_RC.columns
    pool.forRanges(x_RC.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      let i = rows.lowerBound
      kernel?(
        x_RC.pointer(at: i * columns), totals_R.pointer(at: i), y_RC.pointer(at: i * columns),
        rows.count, columns)
    }
  }
}
