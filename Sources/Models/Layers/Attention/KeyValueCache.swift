import Numerics

/// Keys and values of the tokens decoded so far; grows by doubling.
final class KeyValueCache: MixerState {
  private(set) var length = 0
  private var key_SC: Tensor
  private var value_SC: Tensor

  init(columns: Int, capacity: Int, dtype: DType, in context: Context) {
    key_SC = context.empty([max(1, capacity), columns], dtype)
    value_SC = context.empty([max(1, capacity), columns], dtype)
  }

  /// Makes room for the rows of `count` new tokens and returns all rows; the new ones, at the end,
  /// are for the caller to write.
  func extended(by count: Int, in context: Context) -> (key: Tensor, value: Tensor) {
    let end = length + count
    if end > key_SC.shape[0] {
      key_SC = grown(key_SC, to: max(end, 2 * key_SC.shape[0]), in: context)
      value_SC = grown(value_SC, to: key_SC.shape[0], in: context)
    }
    length = end
    return (key_SC.slice(0..<end), value_SC.slice(0..<end))
  }

  private func grown(_ rows: Tensor, to capacity: Int, in context: Context) -> Tensor {
    let larger = context.empty([capacity, rows.columns], rows.dtype)
    context.copy(rows.slice(0..<length), into: larger.slice(0..<length))
    return larger
  }

  func fork(in context: Context) -> any MixerState {
    let copy = KeyValueCache(
      columns: key_SC.columns, capacity: length + 1, dtype: key_SC.dtype, in: context)
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
