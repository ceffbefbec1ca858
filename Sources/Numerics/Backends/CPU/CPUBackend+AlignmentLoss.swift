import CKernels

extension CPUBackend {
  package func squaredErrorForward(
    _ x: Tensor, target: Tensor, relative: Bool, into loss: Tensor, factor: Tensor
  ) {
    let table = kernels(x.dtype)
    let error = sum(over: x.count) { range in
      table.squared_distance(
        x.pointer(at: range.lowerBound), target.pointer(at: range.lowerBound), range.count)
    }
    let size = relative ? sumOfSquares(target) : Double(x.count)
    // A target of zeros has no relative error to speak of; the bound keeps it finite.
    let scale = 1 / max(size, 1e-30)
    upload([scale * error], into: loss)
    upload([scale], into: factor)
  }

  package func squaredErrorBackward(
    _ upstream: Tensor, factor: Tensor, _ x: Tensor, target: Tensor, into dx: Tensor,
    accumulate: Bool
  ) {
    let alpha = 2 * downloadDoubles(upstream)[0] * downloadDoubles(factor)[0]
    let kernel = kernels(x.dtype).scaled_difference
    pool.forRanges(x.count, minimum: parallelGrain) { range in
      let i = range.lowerBound
      kernel?(
        alpha, x.pointer(at: i), target.pointer(at: i), dx.pointer(at: i), range.count,
        accumulate ? 1 : 0)
    }
  }

  /// `Σ x²`, in double.
  func sumOfSquares(_ x: Tensor) -> Double {
    let table = kernels(x.dtype)
    return sum(over: x.count) { table.sum_of_squares(x.pointer(at: $0.lowerBound), $0.count) }
  }

  /// Adds up `partial` over fixed ranges of `0..<count`, in order.
  private func sum(over count: Int, _ partial: (Range<Int>) -> Double) -> Double {
    let parts = (count + parallelGrain - 1) / parallelGrain
    return withUnsafeTemporaryAllocation(of: Double.self, capacity: max(1, parts)) { sums in
      pool.run(parts) { part in
        let start = part * parallelGrain
        sums[part] = partial(start..<min(count, start + parallelGrain))
      }
      return sums.prefix(parts).reduce(0, +)
    }
  }
}
