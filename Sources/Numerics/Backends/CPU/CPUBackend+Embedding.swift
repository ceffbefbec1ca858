import CKernels
import Glibc

extension CPUBackend {
  package func embedding(_ ids: Tensor, weight: Tensor, into y: Tensor) {
    let columns = weight.columns
    let rowBytes = columns * weight.dtype.byteCount
    let format = weight.dtype.half
    let widen = kernels(y.dtype).widen
    pool.forRanges(ids.count, minimum: max(1, parallelGrain / max(1, columns))) { tokens in
      for token in tokens {
        let source = weight.pointer + row(ids, token, of: weight) * rowBytes
        let target = y.pointer(at: token * columns)
        if let format {
          widen?(format, source.assumingMemoryBound(to: UInt16.self), target, columns)
        } else {
          memcpy(target, source, rowBytes)
        }
      }
    }
  }

  package func embeddingBackward(_ dy: Tensor, ids: Tensor, dWeight: Tensor) {
    let add = kernels(dWeight.dtype).add
    let columns = dWeight.columns
    // Each task owns a range of columns and adds its tokens in order: no two tasks share memory.
    let parts = max(1, min(pool.threads, dy.count / parallelGrain, columns / 16))
    pool.run(parts) { part in
      let start = columns * part / parts
      let end = columns * (part + 1) / parts
      for token in 0..<ids.count {
        let target = dWeight.pointer(at: row(ids, token, of: dWeight) * columns + start)
        add?(target, dy.pointer(at: token * columns + start), target, end - start)
      }
    }
  }

  private func row(_ ids: Tensor, _ token: Int, of table: Tensor) -> Int {
    let id = Int(ids.integers[token])
    precondition(id >= 0 && id < table.rows, "token id \(id) outside a table of \(table.rows) rows")
    return id
  }
}
