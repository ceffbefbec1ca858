import CKernels
import Glibc

/// Below this many elements a loop is not worth waking a thread for.
let parallelGrain = 1 << 15

extension CPUBackend {
  package func add(_ a: Tensor, _ b: Tensor, into sum: Tensor) {
    let add = kernels(a.dtype).add
    pool.forRanges(a.count, minimum: parallelGrain) { range in
      let i = range.lowerBound
      add?(a.pointer(at: i), b.pointer(at: i), sum.pointer(at: i), range.count)
    }
  }

  package func scale(_ x: Tensor, by alpha: Double, into y: Tensor, accumulate: Bool) {
    let table = kernels(x.dtype)
    let kernel = accumulate ? table.axpy : table.scale
    pool.forRanges(x.count, minimum: parallelGrain) { range in
      let i = range.lowerBound
      kernel?(alpha, x.pointer(at: i), y.pointer(at: i), range.count)
    }
  }

  package func scale(
    _ x: Tensor, by alpha: Double, times scalar: Tensor, into y: Tensor, accumulate: Bool
  ) {
    let factor = alpha * downloadDoubles(scalar)[0]
    if factor == 1, !accumulate, x.address == y.address { return }
    scale(x, by: factor, into: y, accumulate: accumulate)
  }

  package func cast(_ x: Tensor, into y: Tensor) {
    switch (x.dtype, y.dtype) {
    case (.bf16, .f32), (.f16, .f32):
      let source = x.pointer.assumingMemoryBound(to: UInt16.self)
      let format = x.dtype.half ?? HK_BF16
      let widen = kernels(.f32).widen
      pool.forRanges(x.count, minimum: parallelGrain) { range in
        widen?(format, source + range.lowerBound, y.pointer(at: range.lowerBound), range.count)
      }
    case (.f32, .bf16), (.f32, .f16):
      let target = y.pointer.assumingMemoryBound(to: UInt16.self)
      let format = y.dtype.half ?? HK_BF16
      let narrow = kernels(.f32).narrow
      pool.forRanges(x.count, minimum: parallelGrain) { range in
        narrow?(format, x.pointer(at: range.lowerBound), target + range.lowerBound, range.count)
      }
    default:
      upload(downloadDoubles(x), into: y)
    }
  }
}
