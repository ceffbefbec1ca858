/// Device memory in bytes, as the allocator sees it.
public struct MemoryStatistics: Sendable, Equatable {
  /// Held by live tensors.
  public var inUse = 0
  /// The most that live tensors held at one time.
  public var peak = 0
  /// Freed and kept for reuse.
  public var cached = 0
  /// What was cached when live tensors held the most: reserved from the device, of no use then.
  public var fragments = 0

  /// Statistics of an allocator that holds nothing yet.
  public init() {}

  package init(inUse: Int, peak: Int, cached: Int, fragments: Int) {
    (self.inUse, self.peak) = (inUse, peak)
    (self.cached, self.fragments) = (cached, fragments)
  }

  /// Counts a block that came into use.
  mutating func add(_ size: Int) {
    inUse += size
    guard inUse > peak else { return }
    (peak, fragments) = (inUse, cached)
  }

  /// Counts the peak from here.
  mutating func restart() { (peak, fragments) = (inUse, cached) }
}

extension Context {
  /// What the device's allocator holds now. Block sizes are rounded up, so tensors count a little
  /// more than their bytes.
  public var memory: MemoryStatistics { backend.memory }

  /// Seconds that the work takes which `body` enqueues, by the device's own clock (events on a GPU).
  /// Waits for it.
  public func seconds(_ body: () -> Void) -> Double { backend.seconds(body) }

  /// Gives cached memory back to the system, as after a phase whose sizes will not recur; the peak is
  /// counted from here.
  public func trim() { backend.trim() }
}
