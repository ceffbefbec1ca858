extension CUDABackend {
  package func lrpeForward(
    _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, into y: Tensor
  ) {
    guard x.count > 0 else { return }
    launch(
      "lrpe_forward", in: .lrpe, x.dtype, grid: (x.count.groups(of: 256), 1, 1), block: 256,
      .tensor(x), .tensor(theta), .tensor(positions), .tensor(y), .long(x.count), .int(heads),
      .int(theta.columns), .int(theta.rows == 1 ? 1 : 0))
  }

  package func lrpeBackward(
    _ dy: Tensor, _ x: Tensor, theta: Tensor, positions: Tensor, heads: Int, dx: Tensor?,
    dTheta: Tensor?
  ) {
    let isShared = theta.rows == 1 ? 1 : 0
    if let dx, x.count > 0 {
      launch(
        "lrpe_backward", in: .lrpe, x.dtype, grid: (x.count.groups(of: 256), 1, 1), block: 256,
        .tensor(dy), .tensor(theta), .tensor(positions), .tensor(dx), .long(x.count), .int(heads),
        .int(theta.columns), .int(isShared))
    }
    if let dTheta, theta.count > 0 {
      launch(
        "lrpe_theta", in: .lrpe, x.dtype, grid: (theta.count, 1, 1), block: 256, .tensor(dy),
        .tensor(x), .tensor(theta), .tensor(positions), .tensor(dTheta), .long(x.rows),
        .int(heads), .int(theta.columns), .int(isShared))
    }
  }
}
