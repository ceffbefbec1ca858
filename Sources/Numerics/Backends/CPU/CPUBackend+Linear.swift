import CKernels
import COpenBLAS

extension CPUBackend {
  package func matmul(
    _ a: Tensor, transposeA: Bool, _ b: Tensor, transposeB: Bool, alpha: Double, into c: Tensor,
    accumulate: Bool
  ) {
    let (m, k) = transposeA ? (a.columns, a.rows) : (a.rows, a.columns)
    let n = transposeB ? b.rows : b.columns
    precondition((transposeB ? b.columns : b.rows) == k && c.rows == m && c.columns == n)
    if let format = b.dtype.half, !transposeA, transposeB, alpha == 1 {
      halfLinear(a, b, format, into: c, accumulate: accumulate)
    } else if m == 1, transposeB, !transposeA, alpha == 1 {
      let gemv = kernels(a.dtype).gemv
      pool.forRanges(n, minimum: max(4, parallelGrain / max(1, k))) { rows in
        gemv?(
          a.pointer, b.pointer(at: rows.lowerBound * k), c.pointer(at: rows.lowerBound),
          rows.count, k, accumulate ? 1 : 0)
      }
    } else {
      let b = widened(b, to: a.dtype)
      product(
        GEMM(
          m: m, n: n, k: k, transposeA: transposeA, transposeB: transposeB, lda: a.columns,
          ldb: b.columns, ldc: n, alpha: alpha, beta: accumulate ? 1 : 0, dtype: a.dtype),
        a.pointer, b.pointer, c.pointer)
    }
  }

  /// The tensor in a real type: itself, or a 16-bit one widened.
  func widened(_ x: Tensor, to dtype: DType) -> Tensor {
    if x.dtype == dtype { return x }
    let wide = scratch(x.shape, dtype)
    cast(x, into: wide)
    return wide
  }

  /// One product, cut into as many blocks as there are threads along its longer side.
  func product(
    _ whole: GEMM, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer
  ) {
    let work = whole.m * whole.n * whole.k
    let parts = work < 1 << 18 ? 1 : pool.threads
    let alongRows = whole.m >= whole.n
    let extent = alongRows ? whole.m : whole.n
    // Multiples of 16 keep every block on the micro-kernel's grid.
    let step = ((extent + parts - 1) / parts + 15) / 16 * 16
    pool.run(parts) { part in
      let start = min(extent, part * step)
      let end = min(extent, start + step)
      guard start < end else { return }
      let size = whole.dtype.byteCount
      var block = whole
      if alongRows {
        block.m = end - start
        let skipA = whole.transposeA ? start : start * whole.lda
        block.run(a + skipA * size, b, c + start * whole.ldc * size)
      } else {
        block.n = end - start
        let skipB = whole.transposeB ? start * whole.ldb : start
        block.run(a, b + skipB * size, c + start * size)
      }
    }
  }

  /// `c = a · bᵀ` with 16-bit `b`: row by row for a few tokens, else widened panel by panel.
  private func halfLinear(
    _ a: Tensor, _ b: Tensor, _ format: hk_half, into c: Tensor, accumulate: Bool
  ) {
    let (m, k, n) = (a.rows, a.columns, b.rows)
    let weights = b.pointer.assumingMemoryBound(to: UInt16.self)
    let table = kernels(a.dtype)
    if m <= 4 {
      pool.forRanges(n, minimum: max(4, parallelGrain / max(1, k))) { rows in
        for row in 0..<m {
          table.gemv_half(
            format, a.pointer(at: row * k), weights + rows.lowerBound * k,
            c.pointer(at: row * n + rows.lowerBound), rows.count, k, accumulate ? 1 : 0)
        }
      }
      return
    }
    let panel = max(16, min(n, (1 << 20) / max(1, k)))
    pool.run((n + panel - 1) / panel) { index in
      let start = index * panel
      let rows = min(panel, n - start)
      withUnsafeTemporaryAllocation(byteCount: rows * k * a.dtype.byteCount, alignment: 64) {
        buffer in
        guard let wide = buffer.baseAddress else { return }
        table.widen(format, weights + start * k, wide, rows * k)
        GEMM(
          m: m, n: rows, k: k, transposeA: false, transposeB: true, lda: k, ldb: k, ldc: n,
          alpha: 1, beta: accumulate ? 1 : 0, dtype: a.dtype
        ).run(a.pointer, wide, c.pointer(at: start))
      }
    }
  }

  package func addBias(_ bias: Tensor, to x: Tensor) {
    let add = kernels(x.dtype).add
    let columns = x.columns
    pool.forRanges(x.rows, minimum: max(1, parallelGrain / max(1, columns))) { rows in
      for row in rows {
        let target = x.pointer(at: row * columns)
        add?(target, bias.pointer, target, columns)
      }
    }
  }

  package func addColumnSums(of x: Tensor, to bias: Tensor) {
    let add = kernels(x.dtype).add
    for row in 0..<x.rows {
      add?(bias.pointer, x.pointer(at: row * x.columns), bias.pointer, x.columns)
    }
  }
}

/// One single-threaded BLAS product, row-major.
struct GEMM {
  var m: Int
  var n: Int
  var k: Int
  var transposeA: Bool
  var transposeB: Bool
  var lda: Int
  var ldb: Int
  var ldc: Int
  var alpha: Double
  var beta: Double
  var dtype: DType

  func run(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer) {
    guard m > 0, n > 0 else { return }
    let (ta, tb) = (
      transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans
    )
    let sizes = (Int32(m), Int32(n), Int32(k))
    let strides = (Int32(max(1, lda)), Int32(max(1, ldb)), Int32(max(1, ldc)))
    if dtype == .f64 {
      cblas_dgemm(
        CblasRowMajor, ta, tb, sizes.0, sizes.1, sizes.2, alpha,
        a.assumingMemoryBound(to: Double.self), strides.0, b.assumingMemoryBound(to: Double.self),
        strides.1, beta, c.assumingMemoryBound(to: Double.self), strides.2)
    } else {
      cblas_sgemm(
        CblasRowMajor, ta, tb, sizes.0, sizes.1, sizes.2, Float(alpha),
        a.assumingMemoryBound(to: Float.self), strides.0, b.assumingMemoryBound(to: Float.self),
        strides.1, Float(beta), c.assumingMemoryBound(to: Float.self), strides.2)
    }
  }
}
