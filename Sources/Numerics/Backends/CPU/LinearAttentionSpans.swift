import CKernels

/// The pieces of documents that threads work on, in order: whole documents where heads and documents
/// keep all threads busy, parts of long ones where they do not.
struct LinearAttentionSpans: RandomAccessCollection {
  struct Span {
    var document: Int
    var start: Int
    var end: Int
    var isFirst: Bool
    var isLast: Bool
  }

  /// Fewest tokens worth a span of their own.
  private static let fewest = 4 * Int(HK_LINEAR_TOKENS)
  private var spans: [Span] = []

  /// - Parameter limit: Most tokens of a span, a multiple of a block.
  init(_ problem: LinearAttentionProblem, threads: Int, limit: Int = .max) {
    let block = Int(HK_LINEAR_TOKENS)
    let share = (problem.tokens * problem.heads + threads - 1) / threads
    let most = Swift.min(limit, Swift.max(Self.fewest, (share + block - 1) / block * block))
    let offsets =
      problem.documentOffsets.map { offsets in
        (0..<offsets.count).map { Int(offsets.integers[$0]) }
      } ?? [0, problem.tokens]
    precondition(
      offsets.first == 0 && offsets.last == problem.tokens
        && zip(offsets, offsets.dropFirst()).allSatisfy { $0 <= $1 },
      "linearAttention: document offsets do not ascend from 0 to \(problem.tokens)")
    for (document, (start, end)) in zip(offsets, offsets.dropFirst()).enumerated() {
      for from in Swift.stride(from: start, to: end, by: most) {
        let to = Swift.min(end, from + most)
        spans.append(
          Span(
            document: document, start: from, end: to, isFirst: from == start, isLast: to == end))
      }
    }
  }

  /// Whether any document has several spans.
  var areSplit: Bool { spans.contains { !$0.isLast } }
  /// Tokens of the longest span.
  var longest: Int { spans.map { $0.end - $0.start }.max() ?? 0 }

  var startIndex: Int { 0 }
  var endIndex: Int { spans.count }
  subscript(index: Int) -> Span { spans[index] }
}
