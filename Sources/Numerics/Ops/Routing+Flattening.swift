extension Routing {
  /// The parts in a fixed order, to pass a routing through ``Context/checkpoint(_:_:)``.
  public var tensors: [Tensor] { [experts_TK, weights_TK, probabilities_TE, logits_TE, counts_E] }

  /// The routing behind ``tensors``; `nil` for an empty array. Whether choices were dropped is known
  /// on the device only, so they may have been.
  public init?(tensors: [Tensor]) {
    guard tensors.count == 5 else { return nil }
    self.init(
      experts_TK: tensors[0], weights_TK: tensors[1], probabilities_TE: tensors[2],
      logits_TE: tensors[3], counts_E: tensors[4], isPartial: true)
  }
}
