/// The working memory of one encoding: symbols of the piece in hand, and the word cache.
///
/// Unchecked: handed from thread to thread through the tokenizer's lock, used by one at a time.
final class MergeScratch: @unchecked Sendable {
  let cache = WordCache()
  /// The symbols of the piece in hand: ids and the bytes each covers.
  private(set) var ids: UnsafeMutablePointer<Int32>
  private(set) var lengths: UnsafeMutablePointer<Int32>
  private(set) var count = 0
  private var capacity = 256

  init() {
    ids = .allocate(capacity: capacity)
    lengths = .allocate(capacity: capacity)
  }

  deinit {
    ids.deallocate()
    lengths.deallocate()
  }

  func removeAll() { count = 0 }

  @inline(__always)
  func append(_ id: Int32, length: Int) {
    if count == capacity { grow() }
    ids[count] = id
    lengths[count] = Int32(truncatingIfNeeded: length)
    count += 1
  }

  private func grow() {
    let larger = (
      UnsafeMutablePointer<Int32>.allocate(capacity: capacity * 2),
      UnsafeMutablePointer<Int32>.allocate(capacity: capacity * 2)
    )
    larger.0.update(from: ids, count: count)
    larger.1.update(from: lengths, count: count)
    ids.deallocate()
    lengths.deallocate()
    (ids, lengths) = larger
    capacity *= 2
  }

  /// Gives back what a very long piece needed.
  func trim() {
    if capacity > 1 << 16 {
      ids.deallocate()
      lengths.deallocate()
      capacity = 256
      ids = .allocate(capacity: capacity)
      lengths = .allocate(capacity: capacity)
    }
    count = 0
  }

  // MARK: Merging

  /// Applies merges, lowest rank first and leftmost among equals, until none applies.
  func mergeAll(_ table: MergeTable) {
    if count <= 32 { mergeShort(table) } else { mergeLong(table) }
  }

  private func mergeShort(_ table: MergeTable) {
    guard count > 1 else { return }
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 32) { merges in
      for index in 0..<count - 1 { merges[index] = table.merge(ids[index], ids[index + 1]) }
      while count > 1 {
        var best = MergeTable.none
        var place = 0
        for index in 0..<count - 1 where merges[index] < best {
          best = merges[index]
          place = index
        }
        if best == MergeTable.none { return }
        ids[place] = Int32(truncatingIfNeeded: best & 0xFFFF_FFFF)
        lengths[place] &+= lengths[place + 1]
        count -= 1
        var index = place + 1
        while index < count {
          ids[index] = ids[index + 1]
          lengths[index] = lengths[index + 1]
          merges[index - 1] = merges[index]
          index += 1
        }
        if place + 1 < count { merges[place] = table.merge(ids[place], ids[place + 1]) }
        if place > 0 { merges[place - 1] = table.merge(ids[place - 1], ids[place]) }
      }
    }
  }

  /// As `mergeShort` in O(n log n): a heap of candidate merges over a linked list of symbols.
  private func mergeLong(_ table: MergeTable) {
    var next = ContiguousArray<Int32>(unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in 0..<count { buffer[index] = Int32(index + 1) }
      initialized = count
    }
    var previous = ContiguousArray<Int32>(unsafeUninitializedCapacity: count) {
      buffer, initialized in
      for index in 0..<count { buffer[index] = Int32(index - 1) }
      initialized = count
    }
    var heap = MergeHeap()
    func push(_ place: Int) {
      let right = Int(next[place])
      guard right < count else { return }
      let merge = table.merge(ids[place], ids[right])
      if merge != MergeTable.none { heap.push((merge & ~0xFFFF_FFFF) | UInt64(place)) }
    }
    for place in 0..<count - 1 { push(place) }
    while let candidate = heap.pop() {
      let place = Int(candidate & 0xFFFF_FFFF)
      // A symbol merged away has no length; a changed pair has another rank.
      guard lengths[place] >= 0 else { continue }
      let right = Int(next[place])
      guard right < count else { continue }
      let merge = table.merge(ids[place], ids[right])
      guard merge != MergeTable.none, merge >> 32 == candidate >> 32 else { continue }
      ids[place] = Int32(truncatingIfNeeded: merge & 0xFFFF_FFFF)
      lengths[place] &+= lengths[right]
      lengths[right] = -1
      next[place] = next[right]
      if next[place] < count { previous[Int(next[place])] = Int32(place) }
      push(place)
      if previous[place] >= 0 { push(Int(previous[place])) }
    }
    var kept = 0
    for place in 0..<count where lengths[place] >= 0 {
      ids[kept] = ids[place]
      lengths[kept] = lengths[place]
      kept += 1
    }
    count = kept
  }
}

/// A binary min-heap of rank (high half) and place (low half).
private struct MergeHeap {
  private var items: ContiguousArray<UInt64> = []

  mutating func push(_ item: UInt64) {
    items.append(item)
    var child = items.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if items[parent] <= item { break }
      items[child] = items[parent]
      child = parent
    }
    items[child] = item
  }

  mutating func pop() -> UInt64? {
    guard let last = items.popLast() else { return nil }
    guard let top = items.first else { return last }
    var parent = 0
    while true {
      var child = 2 * parent + 1
      if child >= items.count { break }
      if child + 1 < items.count, items[child + 1] < items[child] { child += 1 }
      if items[child] >= last { break }
      items[parent] = items[child]
      parent = child
    }
    items[parent] = last
    return top
  }
}
