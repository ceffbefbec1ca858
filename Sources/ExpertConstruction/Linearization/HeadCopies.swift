/// Heads along the rows of a tensor, each written several times in a row: what makes keys and values
/// that query heads shared their own.
public struct HeadCopies: Sendable, Equatable {
  /// Rows of one head.
  public var rows: Int
  /// How often each head is written.
  public var times: Int

  /// Copies from their parts.
  public init(rows: Int, times: Int) {
    self.rows = rows
    self.times = times
  }

  /// Whether `shape` has whole heads.
  func divides(_ shape: [Int]) -> Bool {
    times > 1 && rows > 0 && shape.count == 2 && shape[0] % rows == 0
  }
}
