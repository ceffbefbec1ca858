import Numerics

/// The memory of a linear mixer: as large after the first token as after any other.
final class LinearState: MixerState {
  /// `[1, heads, d, e]`.
  var memory: Tensor
  /// Keys and values of the tokens just before, where softmax sees them too.
  let window: KeyValueCache?

  init(_ memory: Tensor, window: KeyValueCache? = nil) {
    self.memory = memory
    self.window = window
  }

  func fork(in context: Context) -> any MixerState {
    LinearState(
      copied(memory, in: context), window: window?.fork(in: context) as? KeyValueCache)
  }

  func tensors(in context: Context) -> [(name: String, tensor: Tensor)] {
    let near = window?.tensors(in: context) ?? []
    return [("memory", copied(memory, in: context))]
      + near.map { ($0.name, copied($0.tensor, in: context)) }
  }

  func restore(_ tensors: [(name: String, tensor: Tensor)], in context: Context) {
    precondition(
      tensors.count == (window == nil ? 1 : 3) && tensors[0].tensor.shape == memory.shape,
      "restore: a memory of \(tensors.map(\.tensor.shape)) instead of \(memory.shape)")
    memory = copied(tensors[0].tensor, in: context)
    window?.restore(Array(tensors.dropFirst()), in: context)
  }

  /// Steps change the memory in place: what is saved and what goes on are apart.
  private func copied(_ source: Tensor, in context: Context) -> Tensor {
    let copy = context.empty(source.shape, source.dtype)
    context.copy(source, into: copy)
    return copy
  }
}
