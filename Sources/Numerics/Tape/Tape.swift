/// What an operation keeps so that it can run backward.
package protocol TapeNode {
  /// Propagates gradients to the inputs with ``Context/accumulate(_:into:)`` or in place.
  ///
  /// - Parameter gradients: One per output of the operation, of its shape; `nil` where nothing arrived.
  func backward(_ gradients: [Tensor?], in context: Context)
}

/// The operations of one forward pass, in order.
package final class Tape {
  struct Entry {
    let node: any TapeNode
    /// With the shape the operation gave: what follows may have read it under another.
    let outputs: [(slot: GradientSlot, shape: [Int])]
    let inputs: [GradientSlot]
  }

  private(set) var entries: [Entry] = []

  package init() {}

  func append(
    _ node: any TapeNode, outputs: [(slot: GradientSlot, shape: [Int])], inputs: [GradientSlot]
  ) {
    for slot in inputs { slot.pendingUses += 1 }
    entries.append(Entry(node: node, outputs: outputs, inputs: inputs))
  }

  /// Runs every entry in reverse order and empties the tape. An entry's saved tensors are freed as
  /// soon as it has run.
  func runBackward(in context: Context) {
    while let entry = entries.popLast() {
      let gradients = entry.outputs.map { $0.slot.gradient?.reshaped($0.shape) }
      for output in entry.outputs { output.slot.gradient = nil }
      if gradients.contains(where: { $0 != nil }) {
        entry.node.backward(gradients, in: context)
      }
      for slot in entry.inputs {
        slot.pendingUses -= 1
        if slot.pendingUses == 0, let parameter = slot.parameter {
          context.onGradientReady?(parameter)
        }
      }
    }
  }
}
