import CKernels

/// A dispatch as the CPU walks it: which slots, in which order, belong to which expert.
struct ExpertSlots {
  let order: UnsafeMutablePointer<Int32>
  let offsets: UnsafeMutablePointer<Int32>
  let count: Int
  let experts: Int
  let topK: Int

  init(_ dispatch: ExpertDispatch, topK: Int) {
    order = dispatch.order.integers
    offsets = dispatch.offsets.integers
    count = dispatch.order.count
    experts = dispatch.offsets.count - 1
    self.topK = topK
  }

  /// Positions in `order` of one expert.
  func range(of expert: Int) -> Range<Int> { Int(offsets[expert])..<Int(offsets[expert + 1]) }

  /// Positions in `order` of one expert's tokens within `tokens`: contiguous, as each expert's
  /// slots are in token order.
  func range(of expert: Int, tokens: Range<Int>) -> Range<Int> {
    let all = range(of: expert)
    func first(from token: Int) -> Int {
      var (low, high) = (all.lowerBound, all.upperBound)
      while low < high {
        let middle = (low + high) / 2
        if Int(order[middle]) / topK < token { low = middle + 1 } else { high = middle }
      }
      return low
    }
    return first(from: tokens.lowerBound)..<first(from: tokens.upperBound)
  }

  /// Every expert's positions cut into blocks of at most `size`; experts without tokens have none.
  func blocks(ofAtMost size: Int) -> [(expert: Int, rows: Range<Int>)] {
    (0..<experts).flatMap { expert in
      range(of: expert).blocks(ofAtMost: size).map { (expert, $0) }
    }
  }
}

extension Range<Int> {
  /// Consecutive near-equal pieces of at most `size`.
  func blocks(ofAtMost size: Int) -> [Range<Int>] {
    let parts = (count + size - 1) / size
    return (0..<parts).map { part in
      lowerBound + count * part / parts..<lowerBound + count * (part + 1) / parts
    }
  }
}
