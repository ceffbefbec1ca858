/// Which bytes of a tensor have been written, as sorted ranges that neither touch nor overlap.
struct WriteCoverage {
  private var ranges: [Range<Int>] = []

  /// Adds `range`, or returns the first bytes of it that were written before.
  mutating func insert(_ range: Range<Int>) -> Range<Int>? {
    guard !range.isEmpty else { return nil }
    // Writers mostly append, so the search seldom leaves the end.
    var position = ranges.count
    if let last = ranges.last, last.upperBound > range.lowerBound {
      position = firstIndex(endingBeyond: range.lowerBound)
    }
    if position < ranges.count, ranges[position].overlaps(range) {
      return ranges[position].clamped(to: range)
    }
    let joinsBefore = position > 0 && ranges[position - 1].upperBound == range.lowerBound
    let joinsAfter =
      position < ranges.count && ranges[position].lowerBound == range.upperBound
    switch (joinsBefore, joinsAfter) {
    case (true, true):
      ranges[position - 1] = ranges[position - 1].lowerBound..<ranges[position].upperBound
      ranges.remove(at: position)
    case (true, false):
      ranges[position - 1] = ranges[position - 1].lowerBound..<range.upperBound
    case (false, true): ranges[position] = range.lowerBound..<ranges[position].upperBound
    case (false, false): ranges.insert(range, at: position)
    }
    return nil
  }

  /// The first bytes below `count` not written, or `nil`.
  func firstGap(below count: Int) -> Range<Int>? {
    guard count > 0 else { return nil }
    guard let first = ranges.first else { return 0..<count }
    if first.lowerBound > 0 { return 0..<first.lowerBound }
    guard first.upperBound < count else { return nil }
    return first.upperBound..<(ranges.count > 1 ? ranges[1].lowerBound : count)
  }

  private func firstIndex(endingBeyond offset: Int) -> Int {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound > offset { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
