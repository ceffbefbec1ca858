import Numerics

/// Keys and values of the tokens decoded so far; grows by doubling. With a window it has room for two
/// windows, or while a longer piece is read for that and a window.
final class KeyValueCache: MixerState {
  /// Rows there are: all tokens, or the last ones that a window needs.
  private(set) var length = 0
  /// Tokens that a token sees, itself included; `nil` for all.
  private let window: Int?
  private var key_SC: Tensor
  private var value_SC: Tensor

  /// - Parameters:
  ///   - capacity: Rows to make room for at first; no more than two windows are.
  ///   - window: Tokens that a token sees, itself included; `nil` for all.
  init(columns: Int, capacity: Int, window: Int?, dtype: DType, in context: Context) {
    // Twice a window stays a number.
    self.window = window.map { min($0, 1 << 40) }
    let rows = max(1, self.window.map { min(capacity, 2 * $0) } ?? capacity)
    key_SC = context.empty([rows, columns], dtype)
    value_SC = context.empty([rows, columns], dtype)
  }

  /// Makes room for the rows of `count` new tokens and returns all rows that these see; the new ones, at
  /// the end, are for the caller to write.
  func extended(by count: Int, in context: Context) -> (key: Tensor, value: Tensor) {
    if let window, length >= window, length + count > capacity || capacity > 2 * window {
      let seen = length - (window - 1)..<length
      move(seen, capacity: max(2 * window, window - 1 + count), in: context)
      length = window - 1
    }
    let end = length + count
    if end > capacity {
      let double = window.map { min(2 * $0, 2 * capacity) } ?? 2 * capacity
      move(0..<length, capacity: max(end, double), in: context)
    }
    length = end
    return (key_SC.slice(0..<end), value_SC.slice(0..<end))
  }

  /// Rows there is room for.
  private var capacity: Int { key_SC.shape[0] }

  /// Takes `rows` into new tensors, so that slices of the old ones stay as they are.
  private func move(_ rows: Range<Int>, capacity: Int, in context: Context) {
    func moved(_ all: Tensor) -> Tensor {
      let new = context.empty([capacity, all.columns], all.dtype)
      if !rows.isEmpty { context.copy(all.slice(rows), into: new.slice(0..<rows.count)) }
      return new
    }
    (key_SC, value_SC) = (moved(key_SC), moved(value_SC))
  }

  func fork(in context: Context) -> any MixerState {
    let copy = KeyValueCache(
      columns: key_SC.columns, capacity: length + 1, window: window, dtype: key_SC.dtype,
      in: context)
    copy.restore(tensors(in: context), in: context)
    return copy
  }

  func tensors(in context: Context) -> [(name: String, tensor: Tensor)] {
    [("key", key_SC.slice(0..<length)), ("value", value_SC.slice(0..<length))]
  }

  func restore(_ tensors: [(name: String, tensor: Tensor)], in context: Context) {
    length = 0
    move(0..<0, capacity: capacity, in: context)
    if tensors.count == 2, tensors[0].tensor.shape[0] > 0 {
      let rows = extended(by: tensors[0].tensor.shape[0], in: context)
      context.copy(tensors[0].tensor, into: rows.key)
      context.copy(tensors[1].tensor, into: rows.value)
    }
  }
}
