extension CUDABackend {
  package func packExperts(_ x_TC: Tensor, experts_TK: Tensor, order: Tensor, into y_PW: Tensor) {
    guard y_PW.count > 0 else { return }
    launch(
      "pack_experts", in: .expertPacking, x_TC.dtype, grid: (y_PW.rows, 1, 1),
      block: threads(forVectorsOf: y_PW), .tensor(x_TC), .tensor(experts_TK), .tensor(order),
      .tensor(y_PW), .int(x_TC.columns), .int(y_PW.columns), .int(experts_TK.columns))
  }

  package func unpackExperts(_ x_PW: Tensor, experts_TK: Tensor, order: Tensor, into y_TC: Tensor) {
    guard y_TC.count > 0 else { return }
    fillZero(y_TC)
    launch(
      "unpack_experts", in: .expertPacking, x_PW.dtype, grid: (x_PW.rows, 1, 1),
      block: threads(forVectorsOf: x_PW), .tensor(x_PW), .tensor(experts_TK), .tensor(order),
      .tensor(y_TC), .int(y_TC.columns), .int(x_PW.columns), .int(experts_TK.columns))
  }

  package func packedStarts(
    _ documentStarts_T: Tensor, experts_TK: Tensor, dispatch: ExpertDispatch, window: Int,
    into starts_P: Tensor
  ) {
    let slots = starts_P.count
    guard slots > 0 else { return }
    launch(
      "packed_starts", in: .expertPacking, .f32, grid: (slots.groups(of: 128), 1, 1), block: 128,
      .tensor(documentStarts_T), .tensor(experts_TK), .tensor(dispatch.order),
      .tensor(dispatch.offsets), .tensor(starts_P), .int(slots), .int(experts_TK.columns),
      .int(window))
  }
}
