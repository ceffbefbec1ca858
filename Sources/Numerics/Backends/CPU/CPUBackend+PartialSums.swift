import CKernels

extension CPUBackend {
  /// Runs `body` over ranges of the rows of `x`, each with sums of its own of the size of `total`, which
  /// are added to it in order: the number of threads decides where rows are cut, the schedule nothing.
  func inParts(
    of x: Tensor, grain: Int, addingTo total: Tensor?,
    _ body: (_ rows: Range<Int>, _ sum: UnsafeMutableRawPointer?) -> Void
  ) {
    let parts = max(1, min(pool.threads * 2, x.count / grain))
    let size = total?.count ?? 0
    let partial = scratch([parts, size], x.dtype)
    fillZero(partial)
    pool.run(parts) { part in
      body(
        x.rows * part / parts..<x.rows * (part + 1) / parts,
        total.map { _ in partial.pointer(at: part * size) })
    }
    guard let total else { return }
    let add = kernels(x.dtype).add
    for part in 0..<parts {
      add?(total.pointer, partial.pointer(at: part * size), total.pointer, size)
    }
  }
}
