/// The merges of a byte-pair encoding: from a pair of ids to the rank of the merge and its result.
final class MergeTable: @unchecked Sendable {
  private struct Slot {
    var pair: UInt64
    var merge: UInt64
  }

  /// The value of `merge` for a pair that does not merge; larger than any other.
  static let none = UInt64.max

  // Filled by the one owner before it is shared, read only afterwards.
  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int
  private let hash = ByteHash()

  init(count: Int) {
    var capacity = 16
    while capacity < count * 2 { capacity *= 2 }
    mask = capacity - 1
    slots = .allocate(capacity: capacity)
    slots.initialize(repeating: Slot(pair: .max, merge: Self.none), count: capacity)
  }

  deinit { slots.deallocate() }

  /// Adds a merge, at most `count` times; says `false` where the pair is already present.
  func insert(_ left: Int32, _ right: Int32, rank: Int, result: Int32) -> Bool {
    let pair = Self.pair(left, right)
    var slot = Int(truncatingIfNeeded: hash(pair)) & mask
    while slots[slot].pair != .max {
      if slots[slot].pair == pair { return false }
      slot = (slot + 1) & mask
    }
    slots[slot] = Slot(pair: pair, merge: UInt64(rank) << 32 | UInt64(UInt32(bitPattern: result)))
    return true
  }

  /// Rank in the high half and resulting id in the low half, or `none`.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> UInt64 {
    let pair = Self.pair(left, right)
    var slot = Int(truncatingIfNeeded: hash(pair)) & mask
    while true {
      let found = slots[slot]
      if found.pair == pair { return found.merge }
      if found.pair == .max { return Self.none }
      slot = (slot + 1) & mask
    }
  }

  @inline(__always)
  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }
}
