/// The largest of many positive values offered in ascending order of their indices; of equal values
/// those offered first.
struct LargestHeap {
  private let capacity: Int
  /// A binary heap with the value to be given up first at its root.
  private var entries: [(value: Float, index: Int32)] = []

  init(capacity: Int) {
    self.capacity = capacity
    entries.reserveCapacity(capacity)
  }

  /// The indices of the values kept, in no order.
  var indices: [Int32] { entries.map(\.index) }

  /// Takes a value in if it is above zero and among the largest so far.
  mutating func offer(_ value: Float, _ index: Int32) {
    guard value > 0, capacity > 0 else { return }
    if entries.count < capacity {
      entries.append((value, index))
      var child = entries.count - 1
      while child > 0, goes(child, before: (child - 1) / 2) {
        entries.swapAt(child, (child - 1) / 2)
        child = (child - 1) / 2
      }
    } else if value > entries[0].value {
      entries[0] = (value, index)
      var parent = 0
      while true {
        var first = parent
        for child in [2 * parent + 1, 2 * parent + 2]
        where child < entries.count && goes(child, before: first) {
          first = child
        }
        guard first != parent else { return }
        entries.swapAt(first, parent)
        parent = first
      }
    }
  }

  /// Whether entry `a` is given up before entry `b`.
  private func goes(_ a: Int, before b: Int) -> Bool {
    let (a, b) = (entries[a], entries[b])
    return a.value < b.value || (a.value == b.value && a.index > b.index)
  }
}
