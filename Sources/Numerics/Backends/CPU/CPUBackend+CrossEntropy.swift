import CKernels

extension CPUBackend {
  package func crossEntropyRows(
    _ logits_RV: Tensor, teacher teacher_RV: Tensor?, targets: Tensor, gradient: LossWeights?,
    crossEntropy: Tensor, divergence: Tensor?
  ) {
    let kernel = kernels(logits_RV.dtype).cross_entropy_rows
    let columns = logits_RV.columns
    pool.forRanges(logits_RV.rows, minimum: max(1, parallelGrain / columns)) { rows in
      let i = rows.lowerBound
      kernel?(
        logits_RV.pointer(at: i * columns), teacher_RV?.pointer(at: i * columns),
        targets.integers + i, gradient?.crossEntropy_T.pointer(at: i),
        gradient?.distillation_T.pointer(at: i), gradient?.crossEntropy ?? 0,
        gradient?.distillation ?? 0,
        crossEntropy.pointer(at: i), divergence?.pointer(at: i), rows.count, columns)
    }
  }

  package func weightedLossTotal(
    crossEntropy: Tensor, divergence: Tensor?, weights: LossWeights, into total: Tensor
  ) {
    guard let dot = kernels(crossEntropy.dtype).dot else { return }
    let count = crossEntropy.count
    var sum =
      weights.crossEntropy * dot(crossEntropy.pointer, weights.crossEntropy_T.pointer, count)
    if let divergence {
      sum += weights.distillation * dot(divergence.pointer, weights.distillation_T.pointer, count)
    }
    upload([sum], into: total)
  }

  package func compareLargest(_ a_RV: Tensor, _ b_RV: Tensor, into agreement_R: Tensor) {
    let columns = a_RV.columns
    guard let argMax = kernels(a_RV.dtype).arg_max else { return }
    compare(rows: a_RV.rows, columns, into: agreement_R) { row in
      argMax(a_RV.pointer(at: row * columns), columns)
        == argMax(b_RV.pointer(at: row * columns), columns)
    }
  }

  package func compareLargest(_ logits_RV: Tensor, targets: Tensor, into correct_R: Tensor) {
    let columns = logits_RV.columns
    guard let argMax = kernels(logits_RV.dtype).arg_max else { return }
    compare(rows: logits_RV.rows, columns, into: correct_R) { row in
      argMax(logits_RV.pointer(at: row * columns), columns) == Int(targets.integers[row])
    }
  }

  private func compare(
    rows: Int, _ columns: Int, into hits_R: Tensor, _ isHit: (Int) -> Bool
  ) {
    pool.forRanges(rows, minimum: max(1, parallelGrain / columns)) { range in
      for row in range {
        let hit = isHit(row)
        if hits_R.dtype == .f64 {
          hits_R.pointer.assumingMemoryBound(to: Double.self)[row] = hit ? 1 : 0
        } else {
          hits_R.pointer.assumingMemoryBound(to: Float.self)[row] = hit ? 1 : 0
        }
      }
    }
  }
}
