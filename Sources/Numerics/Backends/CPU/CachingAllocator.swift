import CKernels
import Glibc
import Synchronization

/// Keeps freed blocks by size: a training step asks for the same sizes again and again, and fresh
/// pages cost more than the arithmetic on them.
package final class CachingAllocator: StorageAllocator {
  private struct State {
    var free: [Int: [UInt]] = [:]
    var statistics = MemoryStatistics()
  }

  private let state = Mutex(State())

  package init() {}

  /// Bytes in use, their peak, and bytes cached.
  package var statistics: MemoryStatistics { state.withLock { $0.statistics } }

  package func allocate(byteCount: Int) -> Storage {
    let size = Self.blockSize(byteCount)
    let cached = state.withLock { state in
      let block = state.free[size]?.popLast()
      if block != nil { state.statistics.cached -= size }
      state.statistics.inUse += size
      state.statistics.peak = max(state.statistics.peak, state.statistics.inUse)
      return block
    }
    let address = cached ?? Self.newBlock(size)
    return Storage(address: address, byteCount: size, owner: self)
  }

  package func release(address: UInt, byteCount: Int) {
    state.withLock { state in
      state.free[byteCount, default: []].append(address)
      state.statistics.inUse -= byteCount
      state.statistics.cached += byteCount
    }
  }

  /// Gives all cached blocks back to the system.
  package func trim() {
    let blocks = state.withLock { state in
      defer {
        state.free = [:]
        state.statistics.cached = 0
      }
      return state.free.values.flatMap { $0 }
    }
    for block in blocks { Glibc.free(UnsafeMutableRawPointer(bitPattern: block)) }
    hk_release_free_pages()
  }

  deinit { trim() }

  /// Sizes are rounded up to an eighth of their power of two, so that near sizes share blocks.
  private static func blockSize(_ byteCount: Int) -> Int {
    let least = max(256, byteCount)
    let step = max(64, (1 << (Int.bitWidth - 1 - least.leadingZeroBitCount)) / 8)
    return (least + step - 1) / step * step
  }

  private static func newBlock(_ size: Int) -> UInt {
    guard let block = aligned_alloc(64, (size + 63) / 64 * 64) else {
      fatalError("out of memory: \(size >> 20) MiB more were needed; use a smaller batch or window")
    }
    return UInt(bitPattern: block)
  }
}
