/// A byte-pair encoding: the vocabulary, its merges and what happens to text outside both.
struct BytePairModel: Sendable {
  /// Token bytes: the text itself, also for byte-level vocabularies, whose alphabet is undone.
  let tokens: TokenTable
  let merges: MergeTable
  /// Whether the initial symbols are bytes; otherwise they are scalars.
  let isByteLevel: Bool
  /// The id of each byte: the initial symbol when byte-level, the fallback otherwise; -1 for none.
  let byteIDs: [Int32]
  /// Whether a scalar outside the vocabulary becomes the tokens of its bytes.
  let fallsBackToBytes: Bool
  /// The token of whatever nothing else covers; without one such text is left out, as
  /// `tokenizers` does.
  let unknown: Int32?
  /// Whether unknown neighbours become one token.
  let fusesUnknown: Bool
  /// Whether a piece that is a token as a whole is taken so, without regard to merges.
  let ignoresMerges: Bool

  /// Appends the ids of one piece, which is not empty.
  @inline(__always)
  func append(
    _ piece: UnsafePointer<UInt8>, count: Int, to ids: inout ContiguousArray<Int32>,
    _ scratch: MergeScratch
  ) {
    guard count <= WordCache.longestKey else {
      appendUncached(piece, count: count, to: &ids, scratch)
      return
    }
    let key = WordCache.Key(piece, count: count)
    if scratch.cache.append(key, to: &ids) { return }
    let start = ids.count
    appendUncached(piece, count: count, to: &ids, scratch)
    scratch.cache.insert(key, ids[start...])
  }

  private func appendUncached(
    _ piece: UnsafePointer<UInt8>, count: Int, to ids: inout ContiguousArray<Int32>,
    _ scratch: MergeScratch
  ) {
    encode(piece, count: count, scratch)
    ids.append(contentsOf: UnsafeBufferPointer(start: scratch.ids, count: scratch.count))
  }

  /// Leaves the ids of one piece, and the bytes each covers, in `scratch`.
  func encode(_ piece: UnsafePointer<UInt8>, count: Int, _ scratch: MergeScratch) {
    scratch.removeAll()
    if ignoresMerges, let id = tokens.id(of: piece, count: count) {
      scratch.append(id, length: count)
      return
    }
    if isByteLevel {
      appendBytes(piece, count: count, scratch)
    } else {
      appendScalars(piece, count: count, scratch)
    }
    scratch.mergeAll(merges)
  }

  private func appendBytes(
    _ piece: UnsafePointer<UInt8>, count: Int, _ scratch: MergeScratch
  ) {
    var unknown = UnknownRun(id: unknown, fuses: fusesUnknown)
    byteIDs.withUnsafeBufferPointer { byteIDs in
      for index in 0..<count {
        let id = byteIDs[Int(piece[index])]
        if id >= 0 {
          unknown.flush(to: scratch)
          scratch.append(id, length: 1)
        } else {
          unknown.extend(by: 1, scratch)
        }
      }
    }
    unknown.flush(to: scratch)
  }

  private func appendScalars(
    _ piece: UnsafePointer<UInt8>, count: Int, _ scratch: MergeScratch
  ) {
    var unknown = UnknownRun(id: unknown, fuses: fusesUnknown)
    var start = 0
    while start < count {
      var end = start + 1
      while end < count, piece[end] & 0xC0 == 0x80 { end += 1 }
      if let id = tokens.id(of: piece + start, count: end - start) {
        unknown.flush(to: scratch)
        scratch.append(id, length: end - start)
      } else if fallsBackToBytes, (start..<end).allSatisfy({ byteIDs[Int(piece[$0])] >= 0 }) {
        for index in start..<end { scratch.append(byteIDs[Int(piece[index])], length: 1) }
      } else {
        unknown.extend(by: end - start, scratch)
      }
      start = end
    }
    unknown.flush(to: scratch)
  }
}

/// Unknown text waiting to be written as one token.
private struct UnknownRun {
  let id: Int32?
  let fuses: Bool
  var length = 0

  init(id: Int32?, fuses: Bool) {
    self.id = id
    self.fuses = fuses
  }

  mutating func extend(by bytes: Int, _ scratch: MergeScratch) {
    if !fuses { flush(to: scratch) }
    length += bytes
  }

  @inline(__always)
  mutating func flush(to scratch: MergeScratch) {
    guard length > 0 else { return }
    if let id { scratch.append(id, length: length) }
    length = 0
  }
}
