extension Context {
  /// `x` itself; while going backward, `body` is called with the gradient that arrives at it.
  ///
  /// Nothing is called when no gradient flows to `x`.
  public func observingGradient(
    of x: Tensor, _ body: @escaping (_ gradient: Tensor) -> Void
  ) -> Tensor {
    record(x.detached(), from: [x], GradientObserverNode(slot: x.slot, body: body))
  }
}

private struct GradientObserverNode: TapeNode {
  let slot: GradientSlot?
  let body: (Tensor) -> Void

  func backward(_ gradients: [Tensor?], in context: Context) {
    guard let dy = gradients[0] else { return }
    body(dy.detached())
    context.accumulate(dy, into: slot)
  }
}
