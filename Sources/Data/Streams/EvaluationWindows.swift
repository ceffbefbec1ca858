/// The windows a model is scored on: inputs j·L … j·L + L − 1 predict tokens j·L + 1 … j·L + L of a
/// stream, for j from 0; record boundaries play no part.
public struct EvaluationWindows: Sendable {
  /// The tokens that are scored.
  public let stream: TokenStream
  /// Inputs per window, and the stride.
  public let length: Int
  /// The number of windows.
  public let count: Int

  /// - Parameters:
  ///   - length: inputs per window, at least 1.
  ///   - limit: the most windows; a stream too short for so many gives fewer.
  public init(_ stream: TokenStream, length: Int = 1024, limit: Int = 48) {
    precondition(length > 0, "windows need a length")
    self.stream = stream
    self.length = length
    count = max(0, min(limit, (stream.ids.count - 1) / length))
  }

  /// Windows `range` as one batch.
  public func batch(_ range: Range<Int>) -> Batch {
    var batch = Batch(sequenceLength: length)
    for window in range.clamped(to: 0..<count) {
      batch.appendWindow(of: stream, from: window * length, domain: 0)
    }
    return batch
  }

  /// All windows in batches of at most `size`.
  public func batches(of size: Int) -> [Batch] {
    stride(from: 0, to: count, by: max(size, 1)).map { batch($0..<min($0 + size, count)) }
  }
}
