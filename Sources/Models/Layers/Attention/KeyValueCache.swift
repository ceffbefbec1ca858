import Numerics

/// Keys and values of the tokens decoded so far; grows by doubling, or with a window is as large after
/// any number of tokens.
final class KeyValueCache: MixerState {
  /// Rows there are: all tokens, or the last ones that a window needs.
  private(set) var length = 0
  /// Tokens that a token sees, itself included; `nil` for all.
  private let window: Int?
  private var key_SC: Tensor
  private var value_SC: Tensor

  init(columns: Int, capacity: Int, window: Int?, dtype: DType, in context: Context) {
    self.window = window
    key_SC = context.empty([max(1, capacity), columns], dtype)
    value_SC = context.empty([max(1, capacity), columns], dtype)
  }

  /// Makes room for the rows of `count` new tokens and returns all rows that these see; the new ones, at
  /// the end, are for the caller to write.
  func extended(by count: Int, in context: Context) -> (key: Tensor, value: Tensor) {
    if let window, length + count > key_SC.shape[0], length >= window {
      let (seen, size) = (length - (window - 1)..<length, max(2 * window, window - 1 + count))
      key_SC = moved(key_SC, rows: seen, capacity: size, in: context)
      value_SC = moved(value_SC, rows: seen, capacity: size, in: context)
      length = window - 1
    }
    let end = length + count
    if end > key_SC.shape[0] {
      let size = max(end, 2 * key_SC.shape[0])
      key_SC = moved(key_SC, rows: 0..<length, capacity: size, in: context)
      value_SC = moved(value_SC, rows: 0..<length, capacity: size, in: context)
    }
    length = end
    return (key_SC.slice(0..<end), value_SC.slice(0..<end))
  }

  private func moved(
    _ all: Tensor, rows: Range<Int>, capacity: Int, in context: Context
  ) -> Tensor {
    let new = context.empty([capacity, all.columns], all.dtype)
    if !rows.isEmpty { context.copy(all.slice(rows), into: new.slice(0..<rows.count)) }
    return new
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
    if tensors.count == 2, tensors[0].tensor.shape[0] > 0 {
      let rows = extended(by: tensors[0].tensor.shape[0], in: context)
      context.copy(tensors[0].tensor, into: rows.key)
      context.copy(tensors[1].tensor, into: rows.value)
    }
  }
}
