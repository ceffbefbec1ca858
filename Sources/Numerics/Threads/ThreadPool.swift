import CKernels

/// The one pool of threads on which CPU kernels run.
package final class ThreadPool: @unchecked Sendable {
  /// Threads that compute, the caller included.
  package let threads: Int
  private let pool: OpaquePointer

  /// - Throws: ``DeviceError`` when the threads cannot be created.
  package init(threads: Int) throws(DeviceError) {
    guard let pool = hk_pool_create(Int32(threads)) else {
      throw DeviceError("cannot start \(threads) threads; ask for fewer with --threads")
    }
    self.threads = threads
    self.pool = pool
  }

  deinit { hk_pool_destroy(pool) }

  /// Calls `body` once for each index below `count` and returns when all calls did.
  /// Tasks must write to disjoint memory: which thread runs which index is not fixed.
  package func run(_ count: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { escaping in
      var closure = escaping
      withUnsafeMutablePointer(to: &closure) { pointer in
        hk_pool_run(
          pool, count,
          { context, index in
            context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
          }, UnsafeMutableRawPointer(pointer))
      }
    }
  }

  /// Splits `0..<count` into contiguous ranges of at least `minimum` and runs them in parallel.
  /// The split depends on `count` and `minimum` only, so results do not depend on timing.
  package func forRanges(_ count: Int, minimum: Int, _ body: (Range<Int>) -> Void) {
    let parts = max(1, min(threads * 2, count / max(1, minimum)))
    run(parts) { part in
      body(count * part / parts..<count * (part + 1) / parts)
    }
  }
}
