import Numerics

/// The memory of a linear mixer: as large after the first token as after any other.
final class LinearState: MixerState {
  /// `[1, heads, d, e]`.
  var memory: Tensor

  init(_ memory: Tensor) { self.memory = memory }

  func fork(in context: Context) -> any MixerState {
    let copy = context.empty(memory.shape, memory.dtype)
    context.copy(memory, into: copy)
    return LinearState(copy)
  }

  func tensors(in context: Context) -> [(name: String, tensor: Tensor)] { [("memory", memory)] }

  func restore(_ tensors: [(name: String, tensor: Tensor)], in context: Context) {
    guard let saved = tensors.first?.tensor, saved.shape == memory.shape else { return }
    // Steps change the memory in place: what was saved stays as it is.
    memory = context.empty(saved.shape, memory.dtype)
    context.copy(saved, into: memory)
  }
}
