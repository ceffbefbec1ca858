extension Context {
  /// Runs `body` without keeping its intermediate results; backward runs it a second time.
  /// (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".)
  ///
  /// `body` must be a pure function of `inputs` and of parameters: whatever it wants to report, it
  /// returns.
  public func checkpoint(
    _ inputs: [Tensor], _ body: @escaping (Context, [Tensor]) -> [Tensor]
  ) -> [Tensor] {
    guard tape != nil else { return body(self, inputs) }
    let forward = Context(backend: backend)
    forward.touchedSlots = [:]
    let outputs = body(forward, inputs.map { $0.detached() })
    let touched = (forward.touchedSlots ?? [:]).values.map { $0 }
    let markers = touched.map { slot in
      var marker = outputs[0].detached()
      marker.slot = slot
      return marker
    }
    return record(
      outputs.map { $0.detached() }, from: inputs + markers,
      CheckpointNode(inputs: inputs, body: body))
  }
}

/// Saves a block's inputs only.
private struct CheckpointNode: TapeNode {
  let inputs: [Tensor]
  let body: (Context, [Tensor]) -> [Tensor]

  func backward(_ gradients: [Tensor?], in context: Context) {
    let replay = Context(backend: context.backend)
    replay.tape = Tape()
    replay.onGradientReady = context.onGradientReady
    let leaves = inputs.map { input in
      var leaf = input.detached()
      leaf.slot = input.slot == nil ? nil : GradientSlot()
      return leaf
    }
    let outputs = body(replay, leaves)
    replay.backward(
      from: zip(outputs, gradients).compactMap { output, gradient in
        gradient.map { (output, $0) }
      })
    for (input, leaf) in zip(inputs, leaves) {
      if let gradient = leaf.slot?.gradient { context.accumulate(gradient, into: input.slot) }
      leaf.slot?.gradient = nil
    }
  }
}
