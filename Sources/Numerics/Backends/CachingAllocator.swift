import Synchronization

/// Where a ``CachingAllocator`` gets its blocks.
package protocol BlockSource: Sendable {
  /// A block of `size` bytes; `nil` when there is no room for it.
  func newBlock(_ size: Int) -> UInt?
  /// Fills a block with bytes 0xff: not a number in every real type, -1 in integers.
  func poison(_ block: UInt, _ size: Int)
  /// Takes a block back.
  func free(_ block: UInt)
  /// Called after cached blocks were freed.
  func didTrim()
  /// Ends the program in one line: `size` bytes for `purpose` could not be had although everything
  /// cached was given back.
  func outOfMemory(_ size: Int, for purpose: String, _ statistics: MemoryStatistics) -> Never
}

/// Keeps freed blocks by size: a training step asks for the same sizes again and again, and fresh
/// memory costs more than the arithmetic on it.
///
/// On a device whose work is enqueued a freed block may still be read by a kernel; as all work is on
/// one stream, whoever gets the block next comes after that kernel.
package final class CachingAllocator: StorageAllocator {
  private struct State {
    var free: [Int: [UInt]] = [:]
    var statistics = MemoryStatistics()
    var isPoisoning = false
  }

  private let state = Mutex(State())
  private let source: any BlockSource

  /// An allocator without blocks.
  package init(_ source: any BlockSource) { self.source = source }

  /// Bytes in use, their peak, and bytes cached.
  package var statistics: MemoryStatistics { state.withLock { $0.statistics } }

  package func allocate(byteCount: Int, for purpose: @autoclosure () -> String) -> Storage {
    let size = Self.blockSize(byteCount)
    let cached = state.withLock { state in
      let block = state.free[size]?.popLast()
      if block != nil { state.statistics.cached -= size }
      return block
    }
    let address = cached ?? newBlock(size, for: purpose)
    let isPoisoning = state.withLock { state in
      state.statistics.add(size)
      return state.isPoisoning
    }
    if isPoisoning { source.poison(address, size) }
    return Storage(address: address, byteCount: size, owner: self)
  }

  /// From now on blocks are handed out poisoned, so that whatever a kernel does not write shows.
  package func startPoisoning() { state.withLock { $0.isPoisoning = true } }

  private func newBlock(_ size: Int, for purpose: () -> String) -> UInt {
    if let block = source.newBlock(size) { return block }
    giveBack()
    if let block = source.newBlock(size) { return block }
    source.outOfMemory(size, for: purpose(), statistics)
  }

  package func release(address: UInt, byteCount: Int) {
    state.withLock { state in
      state.free[byteCount, default: []].append(address)
      state.statistics.inUse -= byteCount
      state.statistics.cached += byteCount
    }
  }

  /// Gives all cached blocks back to the system and counts the peak anew.
  package func trim() {
    giveBack()
    state.withLock { $0.statistics.restart() }
  }

  private func giveBack() {
    let blocks = state.withLock { state in
      defer {
        state.free = [:]
        state.statistics.cached = 0
      }
      return state.free.values.flatMap { $0 }
    }
    for block in blocks { source.free(block) }
    source.didTrim()
  }

  deinit { giveBack() }

  /// Sizes are rounded up to an eighth of their power of two, so that near sizes share blocks.
  private static func blockSize(_ byteCount: Int) -> Int {
    let least = max(256, byteCount)
    let step = max(64, (1 << (Int.bitWidth - 1 - least.leadingZeroBitCount)) / 8)
    return (least + step - 1) / step * step
  }
}
