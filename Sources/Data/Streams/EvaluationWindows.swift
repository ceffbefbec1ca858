/// The windows a model is scored on: inputs j·L … j·L + L − 1 predict tokens j·L + 1 … j·L + L of a
/// stream, for j from 0. Record boundaries play no part unless documents are separated.
public struct EvaluationWindows: Sendable {
  /// The tokens that are scored.
  public let stream: TokenStream
  /// Inputs per window, and the stride.
  public let length: Int
  /// The number of windows.
  public let count: Int
  /// Whether each record attends to itself only, as packed training does.
  public let separatesDocuments: Bool

  /// - Parameters:
  ///   - length: inputs per window, at least 1.
  ///   - limit: the most windows; a stream too short for so many gives fewer.
  ///   - separatesDocuments: lets each record attend to itself only, from position 0; a record that
  ///     begins in an earlier window is not scored.
  public init(
    _ stream: TokenStream, length: Int = 1024, limit: Int = 48, separatesDocuments: Bool = false
  ) {
    precondition(length > 0, "windows need a length")
    self.stream = stream
    self.length = length
    self.separatesDocuments = separatesDocuments
    count = max(0, min(limit, (stream.ids.count - 1) / length))
  }

  /// Windows `range` as one batch.
  public func batch(_ range: Range<Int>) -> Batch {
    var batch = Batch(sequenceLength: length)
    for window in range.clamped(to: 0..<count) {
      batch.appendWindow(of: stream, from: window * length, domain: 0)
      if separatesDocuments { batch.separateLastWindow(of: stream, from: window * length) }
    }
    return batch
  }

  /// All windows in batches of at most `size`.
  public func batches(of size: Int) -> [Batch] {
    stride(from: 0, to: count, by: max(size, 1)).map { batch($0..<min($0 + size, count)) }
  }
}

extension Batch {
  /// Cuts the window that was appended last at the records it holds.
  fileprivate mutating func separateLastWindow(of stream: TokenStream, from start: Int) {
    let base = tokens.count - sequenceLength
    let inside = stream.documentStarts.filter { $0 >= start && $0 < start + sequenceLength }
    let firstInside = inside.first.map { $0 - start } ?? sequenceLength
    for index in base..<base + firstInside {
      lossWeights[index] = 0
      followedMask[index] = 0
    }
    for (order, document) in inside.enumerated() {
      let begin = document - start
      let end = order + 1 < inside.count ? inside[order + 1] - start : sequenceLength
      for index in begin..<end {
        positions[base + index] = Int32(index - begin)
        documentStarts[base + index] = Int32(base + begin)
      }
      // The last token of a record predicts nothing of its own record.
      if end < sequenceLength {
        lossWeights[base + end - 1] = 0
        followedMask[base + end - 1] = 0
      }
    }
  }
}
