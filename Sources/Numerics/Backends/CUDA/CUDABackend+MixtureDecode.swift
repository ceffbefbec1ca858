extension CUDABackend {
  /// A mixture over a few tokens: only the chosen experts' weights are read, in the type they have.
  func decodeMixture(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch, weights_TK: Tensor,
    into y_TD: Tensor
  ) {
    let (slots, width, model) = (dispatch.order.count, experts.width, x_TD.columns)
    let topK = weights_TK.columns
    let suffix = experts.gate.dtype.rawValue
    let isAligned = areAligned([x_TD, experts.gate, experts.up, experts.down])
    let vector = isAligned && model % 8 == 0 && width % 8 == 0 ? 1 : 0
    let hidden = scratch([slots, width], .f32)
    let slotExperts = scratch([slots], .i32)
    // At least one block a slot: it also writes which expert the slot went to.
    launch(
      "decode_gate_up_\(suffix)", in: .mixtureDecode, x_TD.dtype,
      grid: (max(1, (width + 15) / 16), slots, 1), block: 256, shared: 0, .tensor(x_TD),
      .tensor(dispatch.order), .tensor(dispatch.offsets), .tensor(experts.gate),
      .tensor(experts.up), .tensor(weights_TK), .tensor(hidden), .tensor(slotExperts),
      .int(experts.count), .int(topK), .int(model), .int(width), .int(vector))
    launch(
      "decode_down_\(suffix)", in: .mixtureDecode, x_TD.dtype,
      grid: ((model + 15) / 16, x_TD.rows, 1), block: 256, shared: 0, .tensor(hidden),
      .tensor(slotExperts), .tensor(experts.down), .tensor(y_TD), .int(topK), .int(model),
      .int(width), .int(vector))
  }
}
