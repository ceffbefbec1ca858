/// A binary min-heap of possible moves, by loss and then by item.
struct MoveHeap {
  /// An item and what its move costs.
  struct Entry {
    var loss: Double
    var item: Int32

    static func < (left: Entry, right: Entry) -> Bool {
      left.loss < right.loss || (left.loss == right.loss && left.item < right.item)
    }
  }

  private var entries: [Entry]

  init(_ entries: [Entry]) {
    self.entries = entries
    for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  /// The cheapest move.
  var first: Entry? { entries.first }

  mutating func insert(_ entry: Entry) {
    entries.append(entry)
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard entries[child] < entries[parent] else { return }
      entries.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() {
    guard let last = entries.popLast(), !entries.isEmpty else { return }
    entries[0] = last
    siftDown(0)
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var smallest = parent
      let left = 2 * parent + 1
      if left < entries.count, entries[left] < entries[smallest] { smallest = left }
      if left + 1 < entries.count, entries[left + 1] < entries[smallest] { smallest = left + 1 }
      if smallest == parent { return }
      entries.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
