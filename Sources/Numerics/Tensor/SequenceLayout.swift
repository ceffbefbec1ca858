/// Which rows of a batch belong to which document: rows are tokens, documents follow one another.
public struct SequenceLayout: Sendable {
  /// Position of each token in its document, `[T]`, `i32`: what rotary embedding turns by.
  public let positions_T: Tensor
  /// Key row at which each token's document starts, `[T]`, `i32`: attention looks no further back.
  public let documentStarts_T: Tensor
  /// First row of every document and, last, `T`: `[N + 1]`, `i32`; empty documents count. `nil` when
  /// the layout was made without.
  public let documentOffsets: Tensor?
  /// Tokens, `T`.
  public let count: Int

  /// A layout from its tensors, all `i32`, the first two `[T]`.
  public init(positions_T: Tensor, documentStarts_T: Tensor, documentOffsets: Tensor? = nil) {
    precondition(
      positions_T.dtype == .i32 && documentStarts_T.dtype == .i32
        && positions_T.count == documentStarts_T.count && documentOffsets?.dtype ?? .i32 == .i32)
    self.positions_T = positions_T
    self.documentStarts_T = documentStarts_T
    self.documentOffsets = documentOffsets
    count = positions_T.count
  }

  /// Documents of the given lengths, one after another; positions restart at 0 in each.
  public init(documentLengths: [Int], in context: Context) {
    var positions: [Int32] = []
    var starts: [Int32] = []
    var offsets: [Int32] = [0]
    for length in documentLengths {
      precondition(length >= 0, "a document of \(length) tokens")
      let start = Int32(starts.count)
      starts.append(contentsOf: repeatElement(start, count: length))
      positions.append(contentsOf: 0..<Int32(length))
      offsets.append(Int32(starts.count))
    }
    self.init(
      positions_T: context.tensor(positions, [positions.count]),
      documentStarts_T: context.tensor(starts, [starts.count]),
      documentOffsets: context.tensor(offsets, [offsets.count]))
  }

  /// `count` tokens that continue one document whose first `offset` tokens are already cached.
  public init(count: Int, offset: Int = 0, in context: Context) {
    precondition(count >= 0 && offset >= 0, "\(count) tokens after \(offset)")
    let positions = (0..<Int32(count)).map { $0 + Int32(offset) }
    self.init(
      positions_T: context.tensor(positions, [count]),
      documentStarts_T: context.tensor([Int32](repeating: 0, count: count), [count]),
      documentOffsets: context.tensor([0, Int32(count)], [2]))
  }
}
