import Numerics
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
  @Test(arguments: [1, 2, 3, 7])
  func everyIndexRunsExactlyOnce(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    for count in [0, 1, 2, 3, 64, 1000] {
      // Many runs in a row: a worker that wakes late must not take part in the wrong one.
      for _ in 0..<50 {
        let hits = Mutex([Int](repeating: 0, count: count))
        pool.run(count) { index in hits.withLock { $0[index] += 1 } }
        #expect(hits.withLock { $0.allSatisfy { $0 == 1 } })
      }
    }
  }

  @Test func aRunInsideATaskRunsInline() throws {
    let pool = try ThreadPool(threads: 2)
    let total = Mutex(0)
    pool.run(4) { _ in
      pool.run(5) { index in total.withLock { $0 += index } }
    }
    #expect(total.withLock { $0 } == 40)
  }

  @Test func aSleepingPoolWakes() throws {
    let pool = try ThreadPool(threads: 2)
    for _ in 0..<20 {
      let done = Mutex(0)
      pool.run(2) { _ in done.withLock { $0 += 1 } }
      #expect(done.withLock { $0 } == 2)
      // Longer than the workers spin.
      let start = ContinuousClock.now
      while ContinuousClock.now - start < .milliseconds(2) {}
    }
  }
}
