import Glibc
import Synchronization

/// Keeps freed blocks by size: a training step asks for the same sizes again and again, and fresh
/// pages cost more than the arithmetic on them.
package final class CachingAllocator: StorageAllocator {
  private let free = Mutex<[Int: [UInt]]>([:])

  package init() {}

  package func allocate(byteCount: Int) -> Storage {
    let size = Self.blockSize(byteCount)
    let cached = free.withLock { $0[size]?.popLast() }
    let address = cached ?? Self.newBlock(size)
    return Storage(address: address, byteCount: size, owner: self)
  }

  package func release(address: UInt, byteCount: Int) {
    free.withLock { $0[byteCount, default: []].append(address) }
  }

  /// Gives all cached blocks back to the system.
  package func trim() {
    let blocks = free.withLock { cache in
      defer { cache = [:] }
      return cache.values.flatMap { $0 }
    }
    for block in blocks { Glibc.free(UnsafeMutableRawPointer(bitPattern: block)) }
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
