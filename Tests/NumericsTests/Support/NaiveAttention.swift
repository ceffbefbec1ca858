import Glibc
import Testing

/// One attention problem of the tests, and the textbook way to solve it.
struct AttentionCase: Sendable, CustomTestStringConvertible {
  var tokens: Int
  var dim: Int
  var heads = 2
  var keyHeads = 1
  var documents: [Int]?
  var queryOffset = 0
  var window: Int?

  var keys: Int { tokens + queryOffset }
  var scale: Double { 1 / Double(dim).squareRoot() }
  var queryShape: [Int] { [tokens, heads * dim] }
  var keyShape: [Int] { [keys, keyHeads * dim] }

  var testDescription: String {
    "T \(tokens) d \(dim) heads \(heads):\(keyHeads) documents \(documents ?? []) "
      + "offset \(queryOffset) window \(window ?? 0)"
  }

  /// First key row of every token's document.
  var documentStarts: [Int32]? {
    documents.map { lengths in
      var starts: [Int32] = []
      for length in lengths {
        starts += [Int32](repeating: Int32(starts.count), count: length)
      }
      return starts
    }
  }

  /// All scores of a head, softmax, weighted sum.
  func naive(_ query: [Double], _ key: [Double], _ value: [Double]) -> [Double] {
    var output = [Double](repeating: 0, count: tokens * heads * dim)
    let starts = documentStarts
    for head in 0..<heads {
      let keyHead = head * keyHeads / heads
      for token in 0..<tokens {
        let last = token + queryOffset
        let first = max(starts.map { Int($0[token]) } ?? 0, last - (window ?? keys) + 1, 0)
        let q = (token * heads + head) * dim
        let scores = (first...last).map { row in
          let k = (row * keyHeads + keyHead) * dim
          return (0..<dim).reduce(0) { $0 + query[q + $1] * key[k + $1] } * scale
        }
        let highest = scores.max() ?? 0
        let weights = scores.map { exp($0 - highest) }
        let total = weights.reduce(0, +)
        for (row, weight) in zip(first...last, weights) {
          let v = (row * keyHeads + keyHead) * dim
          for c in 0..<dim { output[q + c] += weight / total * value[v + c] }
        }
      }
    }
    return output
  }
}
