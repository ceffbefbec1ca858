import Numerics
import Synchronization
import Testing

@Suite struct MemoryTests {
  @Test func severalTensorsAreReadTogether() throws {
    let context = try Context(device: .cpu(), poisoned: true)
    let tensors = [
      context.tensor([1.5, -2, .infinity] as [Float], [3]),
      context.tensor([7, -8] as [Int32], [2]),
      context.empty([0]), context.tensor([1e300] as [Double], []),
      context.tensor([0, 1, 2, 3, 4] as [Float], [5]).slice(1..<4),
    ]
    #expect(
      context.readDoubles(tensors) == [[1.5, -2, .infinity], [7, -8], [], [1e300], [1, 2, 3]])
    #expect(context.readDoubles([Tensor]()) == [])
  }

  @Test func countsFollowTensors() throws {
    let context = try Context()
    let start = context.memory
    do {
      let tensor = context.zeros([1024])
      #expect(context.memory.inUse == start.inUse + tensor.byteCount)
      #expect(context.memory.peak >= start.inUse + 4096)
    }
    #expect(context.memory.inUse == start.inUse)
    #expect(context.memory.cached == start.cached + 4096)
    let cached = context.memory.cached
    let again = context.empty([1024])
    #expect(context.memory.cached == cached - again.byteCount)
    context.trim()
    #expect(context.memory.cached == 0)
    #expect(context.memory.inUse == start.inUse + again.byteCount)
  }

  /// Memory of 10 KiB that counts what it is asked.
  private final class SmallMemory: BlockSource {
    private let state = Mutex((blocks: [UInt: Int](), next: UInt(4096)))
    var reserved: Int { state.withLock { $0.blocks.values.reduce(0, +) } }

    func newBlock(_ size: Int) -> UInt? {
      state.withLock { state in
        guard state.blocks.values.reduce(size, +) <= 10 << 10 else { return nil }
        state.next += 1 << 20
        state.blocks[state.next] = size
        return state.next
      }
    }
    func free(_ block: UInt) { state.withLock { _ = $0.blocks.removeValue(forKey: block) } }
    func poison(_ block: UInt, _ size: Int) {}
    func didTrim() {}
    func outOfMemory(_ size: Int, for purpose: String, _ statistics: MemoryStatistics) -> Never {
      fatalError("\(purpose) needs \(size)")
    }
  }

  @Test func cachedBlocksAreGivenBackBeforeAnAllocationFails() {
    let memory = SmallMemory()
    let allocator = CachingAllocator(memory)
    var first: Storage? = allocator.allocate(byteCount: 6 << 10, for: "a test")
    withExtendedLifetime(first) {}
    first = nil
    #expect(allocator.statistics.cached == 6 << 10 && allocator.statistics.fragments == 0)
    // Fits beside what is cached, so that stays; the peak is still the first block's.
    let second = allocator.allocate(byteCount: 4 << 10, for: "a test")
    #expect(memory.reserved == 10 << 10)
    // Does not: the cached block goes.
    let third = allocator.allocate(byteCount: 5 << 10, for: "a test")
    #expect(memory.reserved == 9 << 10)
    #expect(
      allocator.statistics
        == MemoryStatistics(inUse: 9 << 10, peak: 9 << 10, cached: 0, fragments: 0))
    withExtendedLifetime((second, third)) {}
  }

  @Test func fragmentsAreWhatIsCachedAtThePeak() {
    let allocator = CachingAllocator(SmallMemory())
    do { _ = allocator.allocate(byteCount: 1 << 10, for: "a test") }
    let block = allocator.allocate(byteCount: 2 << 10, for: "a test")
    #expect(allocator.statistics.peak == 2 << 10 && allocator.statistics.fragments == 1 << 10)
    withExtendedLifetime(block) {}
  }

  @Test func runningOutEndsInOneLineThatHelps() async throws {
    let result = try await #require(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      _ = try Context(device: .cpu(threads: 1)).empty([1 << 20, 1 << 25])
    }
    let text = String(decoding: result.standardErrorContent, as: UTF8.self)
    let lines = text.split(separator: "\n").filter { $0.contains("out of memory") }
    #expect(lines.count == 1, "\(text)")
    for part in [
      "a f32 tensor of shape [1048576, 33554432] needs", "in use", "micro_batch", "--jobs",
    ] {
      #expect(lines.first?.contains(part) == true, "\(text)")
    }
  }
}
