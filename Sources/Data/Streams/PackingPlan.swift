/// A stream's documents packed into sequences of one length.
///
/// Documents longer than a sequence are cut into pieces of its length; every piece is put whole
/// into the fullest of the sequences being filled that has room. Each token of the stream is in
/// exactly one place, and a document's pieces keep their order of tokens.
struct PackingPlan: Sendable {
  /// A stretch of the stream within one document, and where that document ends.
  struct Piece: Equatable, Sendable {
    var range: Range<Int>
    var documentEnd: Int
  }

  /// Sequences being filled at one time; more would save little padding and cost time.
  private static let openLimit = 64

  private(set) var sequences: [[Piece]] = []

  /// - Parameter order: a permutation of the documents, the order in which they are packed.
  init(_ stream: TokenStream, length: Int, order: IndexPermutation) {
    var open: [(free: Int, pieces: [Piece])] = []
    for index in 0..<stream.documentStarts.count {
      let document = stream.document(order[index])
      for start in stride(from: document.lowerBound, to: document.upperBound, by: length) {
        let end = min(start + length, document.upperBound)
        place(Piece(range: start..<end, documentEnd: document.upperBound), length, &open)
      }
    }
    sequences += open.map(\.pieces)
  }

  private mutating func place(
    _ piece: Piece, _ length: Int, _ open: inout [(free: Int, pieces: [Piece])]
  ) {
    let size = piece.range.count
    var best: Int?
    for index in open.indices where open[index].free >= size {
      if let current = best, open[current].free <= open[index].free { continue }
      best = index
    }
    if let best {
      open[best].pieces.append(piece)
      open[best].free -= size
      if open[best].free == 0 { sequences.append(open.remove(at: best).pieces) }
      return
    }
    if size == length {
      sequences.append([piece])
      return
    }
    if open.count == Self.openLimit,
      let fullest = open.indices.min(by: { open[$0].free < open[$1].free })
    {
      sequences.append(open.remove(at: fullest).pieces)
    }
    open.append((length - size, [piece]))
  }
}

extension Batch {
  /// Appends one packed sequence; what the documents leave free is padding with weight 0.
  ///
  /// The last token of a document has no target: its weight is 0. The last token of a piece that
  /// the document goes on behind has the next piece's first token as target, so that every token
  /// but a document's first is a target exactly once.
  mutating func appendPacked(
    _ pieces: [PackingPlan.Piece], of stream: TokenStream, padding: Int32, domain: Int
  ) {
    let end = tokens.count + sequenceLength
    for piece in pieces {
      let first = Int32(tokens.count)
      for index in piece.range {
        let hasTarget = index + 1 < piece.documentEnd
        tokens.append(stream.ids[index])
        targets.append(hasTarget ? stream.ids[index + 1] : padding)
        lossWeights.append(hasTarget ? Float(stream.lossMask[index + 1]) : 0)
        followedMask.append(hasTarget ? 1 : 0)
        positions.append(Int32(index - piece.range.lowerBound))
        documentStarts.append(first)
      }
    }
    let first = tokens.count
    let free = end - first
    tokens += repeatElement(padding, count: free)
    targets += repeatElement(padding, count: free)
    lossWeights += repeatElement(0, count: free)
    followedMask += repeatElement(0, count: free)
    positions += 0..<Int32(free)
    documentStarts += repeatElement(Int32(first), count: free)
    domains.append(domain)
  }
}
