extension CUDABackend {
  package func headScaleForward(
    _ x_TC: Tensor, experts_TK: Tensor, weights_TK: Tensor, expertOfHead: Tensor, into y_TC: Tensor
  ) {
    guard x_TC.count > 0 else { return }
    let heads = expertOfHead.count
    launch(
      "head_scale_forward", in: .headScale, x_TC.dtype, grid: (x_TC.rows, 1, 1), block: 128,
      shared: heads * 4, .tensor(x_TC), .tensor(experts_TK), .tensor(weights_TK),
      .tensor(expertOfHead), .tensor(y_TC), .int(heads), .int(x_TC.columns / heads),
      .int(experts_TK.columns))
  }

  package func headScaleBackward(
    _ dy_TC: Tensor, _ x_TC: Tensor, experts_TK: Tensor, weights_TK: Tensor, expertOfHead: Tensor,
    dx: Tensor, dWeights: Tensor
  ) {
    precondition(dWeights.dtype == .f32, "headScale: weights in \(dWeights.dtype)")
    guard x_TC.count > 0 else { return }
    let heads = expertOfHead.count
    launch(
      "head_scale_backward", in: .headScale, x_TC.dtype, grid: (x_TC.rows, 1, 1), block: 128,
      shared: heads * 4 * 2, .tensor(dy_TC), .tensor(x_TC), .tensor(experts_TK),
      .tensor(weights_TK), .tensor(expertOfHead), .tensor(dx), .tensor(dWeights), .int(heads),
      .int(x_TC.columns / heads), .int(experts_TK.columns))
  }
}
