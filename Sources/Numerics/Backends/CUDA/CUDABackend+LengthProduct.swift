extension CUDABackend {
  package func lengthProductForward(_ a: Tensor, _ b: Tensor, into y: Tensor) {
    guard y.count > 0 else { return }
    launch(
      "length_product_forward", in: .lengthProduct, .f32,
      grid: (y.count.groups(of: 256), 1, 1), block: 256, .tensor(a), .tensor(b), .tensor(y),
      .long(y.count), .int(a.columns / y.columns))
  }

  package func lengthProductBackward(
    _ dy: Tensor, _ a: Tensor, _ b: Tensor, into da: Tensor, _ db: Tensor
  ) {
    guard dy.count > 0 else { return }
    launch(
      "length_product_backward", in: .lengthProduct, .f32,
      grid: (dy.count.groups(of: 256), 1, 1), block: 256, .tensor(dy), .tensor(a), .tensor(b),
      .tensor(da), .tensor(db), .long(dy.count), .int(a.columns / dy.columns))
  }
}
