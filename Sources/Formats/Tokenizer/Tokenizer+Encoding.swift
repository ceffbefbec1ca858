extension Tokenizer {
  /// The ids of a text.
  ///
  /// - Parameters:
  ///   - addSpecialTokens: whether to add what the post-processor prescribes, usually the
  ///     beginning-of-sequence token.
  ///   - matchingSpecialTokens: whether special tokens spelled out in the text count as such.
  ///     Switch it off for text from outside that must not be able to end a turn.
  public func encode(
    _ text: String, addSpecialTokens: Bool, matchingSpecialTokens: Bool = true
  ) -> [Int32] {
    var ids = ContiguousArray<Int32>()
    ids.reserveCapacity(text.utf8.count / 3 + 8)
    if addSpecialTokens { ids.append(contentsOf: prefix) }
    append(text, isFirst: true, matchingSpecialTokens: matchingSpecialTokens, to: &ids)
    if addSpecialTokens { ids.append(contentsOf: suffix) }
    return Array(ids)
  }

  /// Appends the ids of a stretch of text between special tokens that the caller places itself.
  ///
  /// - Parameters:
  ///   - isFirst: whether the stretch is the very beginning of the text to encode.
  ///   - boundary: an offset into the UTF-8 of `text`.
  /// - Returns: the index in `ids` of the first token that covers text behind `boundary`;
  ///   `ids.count` where there is none or no boundary was given.
  @discardableResult
  package func append(
    _ text: String, isFirst: Bool, matchingSpecialTokens: Bool = false, boundary: Int? = nil,
    to ids: inout ContiguousArray<Int32>
  ) -> Int {
    var text = text
    return text.withUTF8 { utf8 in
      withScratch { scratch in
        var run = EncodingRun(
          tokenizer: self, scratch: scratch, matchingSpecial: matchingSpecialTokens, ids: ids)
        ids = []
        run.encode(utf8, isFirst: isFirst, boundary: boundary)
        swap(&ids, &run.ids)
        return run.crossing ?? ids.count
      }
    }
  }
}

/// One encoding in progress.
private struct EncodingRun {
  let tokenizer: Tokenizer
  let scratch: MergeScratch
  let matchingSpecial: Bool
  var ids: ContiguousArray<Int32>
  /// The index of the first token behind the boundary, once it is known.
  var crossing: Int?

  init(
    tokenizer: Tokenizer, scratch: MergeScratch, matchingSpecial: Bool,
    ids: ContiguousArray<Int32>
  ) {
    self.tokenizer = tokenizer
    self.scratch = scratch
    self.matchingSpecial = matchingSpecial
    self.ids = ids
  }

  /// Cuts at tokens matched in the raw text, then normalizes what lies between.
  mutating func encode(_ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, boundary: Int?) {
    tokenizer.literalTokens.split(text, matchingSpecial: matchingSpecial) { range, token in
      if let token {
        append(token, range, boundary)
      } else {
        let part = UnsafeBufferPointer(rebasing: text[range])
        let inner = boundary.map { $0 - range.lowerBound }
        normalize(part, isFirst: isFirst && range.lowerBound == 0, boundary: inner)
      }
    }
  }

  private mutating func append(_ token: AddedToken, _ range: Range<Int>, _ boundary: Int?) {
    if let boundary, crossing == nil, range.upperBound > boundary { crossing = ids.count }
    ids.append(token.id)
  }

  private mutating func normalize(
    _ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, boundary: Int?
  ) {
    guard !tokenizer.normalization.isEmpty else {
      return splitNormalized(text, isFirst: isFirst, boundary: boundary)
    }
    func normalized(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
      var bytes = Array(bytes)
      for step in tokenizer.normalization { step.apply(to: &bytes) }
      return bytes
    }
    let boundary = moved(boundary, in: text, by: normalized)
    normalized(text).withUnsafeBufferPointer {
      splitNormalized($0, isFirst: isFirst, boundary: boundary)
    }
  }

  /// Where the boundary is after the text has been changed by `change`.
  private func moved(
    _ boundary: Int?, in text: UnsafeBufferPointer<UInt8>,
    by change: (UnsafeBufferPointer<UInt8>) -> [UInt8]
  ) -> Int? {
    guard let boundary, crossing == nil, boundary > 0, boundary < text.count else {
      return boundary.map { $0 >= text.count ? .max : $0 }
    }
    return change(UnsafeBufferPointer(rebasing: text[..<boundary])).count
  }

  private mutating func splitNormalized(
    _ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, boundary: Int?
  ) {
    guard !tokenizer.normalizedTokens.isEmpty else {
      return preTokenize(text, isFirst: isFirst, boundary: boundary)
    }
    tokenizer.normalizedTokens.split(text, matchingSpecial: matchingSpecial) { range, token in
      if let token {
        append(token, range, boundary)
      } else {
        let inner = boundary.map { $0 == .max ? .max : $0 - range.lowerBound }
        preTokenize(
          UnsafeBufferPointer(rebasing: text[range]),
          isFirst: isFirst && range.lowerBound == 0, boundary: inner)
      }
    }
  }

  private mutating func preTokenize(
    _ text: UnsafeBufferPointer<UInt8>, isFirst: Bool, boundary: Int?
  ) {
    switch tokenizer.preTokenizer {
    case .none:
      cutAtMarks(text, Metaspace(), everyMark: false, boundary)
    case .metaspace(let metaspace):
      func marked(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var bytes = Array(bytes)
        metaspace.apply(to: &bytes, isFirst: isFirst)
        return bytes
      }
      let boundary = moved(boundary, in: text, by: marked)
      marked(text).withUnsafeBufferPointer {
        cutAtMarks($0, metaspace, everyMark: metaspace.splits, boundary)
      }
    case .byteLevel(let pattern, let addsPrefixSpace):
      if addsPrefixSpace, text.first != 0x20 {
        let boundary = boundary.map { $0 == .max || $0 <= 0 ? $0 : $0 + 1 }
        ([0x20] + Array(text)).withUnsafeBufferPointer { cut($0, pattern, boundary) }
      } else {
        cut(text, pattern, boundary)
      }
    }
  }

  /// Pieces of a split pattern.
  private mutating func cut(
    _ text: UnsafeBufferPointer<UInt8>, _ pattern: SplitPattern?, _ boundary: Int?
  ) {
    guard let base = text.baseAddress, !text.isEmpty else { return }
    guard let pattern else { return appendPiece(base, 0, text.count, boundary) }
    let classified = ClassifiedText(base, count: text.count)
    var start = 0
    while start < text.count {
      let end = pattern.endOfPiece(from: start, in: classified)
      appendPiece(base, start, end, boundary)
      start = end
    }
  }

  /// Pieces that begin with a mark: each mark, or each run of marks where that is exact.
  private mutating func cutAtMarks(
    _ text: UnsafeBufferPointer<UInt8>, _ metaspace: Metaspace, everyMark: Bool,
    _ boundary: Int?
  ) {
    guard let base = text.baseAddress, !text.isEmpty else { return }
    let mark = metaspace.mark
    guard everyMark || tokenizer.splitsAtMarks else {
      return appendPiece(base, 0, text.count, boundary)
    }
    var start = 0
    while start < text.count {
      var search = start
      var found = text.nextOccurrence(of: mark, from: search)
      while found == search, !everyMark || search == start {
        search += mark.count
        found = text.nextOccurrence(of: mark, from: search)
      }
      appendPiece(base, start, found, boundary)
      start = found
    }
  }

  @inline(__always)
  private mutating func appendPiece(
    _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ boundary: Int?
  ) {
    if let boundary, crossing == nil, end > boundary {
      appendCrossing(base, start, end, boundary)
    } else {
      tokenizer.model.append(base + start, count: end - start, to: &ids, scratch)
    }
  }

  /// The piece in which, or before which, the boundary is.
  private mutating func appendCrossing(
    _ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, _ boundary: Int
  ) {
    tokenizer.model.encode(base + start, count: end - start, scratch)
    var covered = start
    for index in 0..<scratch.count {
      covered += Int(scratch.lengths[index])
      if crossing == nil, covered > boundary { crossing = ids.count }
      ids.append(scratch.ids[index])
    }
  }
}
