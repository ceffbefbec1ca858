extension CUDABackend {
  package func add(_ a: Tensor, _ b: Tensor, into sum: Tensor) {
    precondition(a.dtype == b.dtype && a.dtype == sum.dtype, "add: \(a.dtype) and \(b.dtype)")
    guard a.count > 0 else { return }
    launch(
      "elementwise_add", in: .elementwise, a.dtype, grid: (a.blocksOfVectors, 1, 1), block: 256,
      .tensor(a), .tensor(b), .tensor(sum), .long(a.count))
  }

  package func scale(_ x: Tensor, by alpha: Double, into y: Tensor, accumulate: Bool) {
    scale(x, by: alpha, factor: nil, into: y, accumulate: accumulate)
  }

  package func scale(
    _ x: Tensor, by alpha: Double, times scalar: Tensor, into y: Tensor, accumulate: Bool
  ) {
    scale(x, by: alpha, factor: floats(scalar), into: y, accumulate: accumulate)
  }

  private func scale(
    _ x: Tensor, by alpha: Double, factor: Tensor?, into y: Tensor, accumulate: Bool
  ) {
    precondition(x.dtype == y.dtype, "scale: \(x.dtype) into \(y.dtype)")
    guard x.count > 0 else { return }
    launch(
      "elementwise_scale", in: .elementwise, x.dtype, grid: (x.blocksOfVectors, 1, 1), block: 256,
      .tensor(x), .float(alpha), .tensor(factor), .tensor(y), .long(x.count),
      .int(accumulate ? 1 : 0))
  }

  package func cast(_ x: Tensor, into y: Tensor) {
    guard x.count > 0 else { return }
    if x.dtype == y.dtype { return copy(x, into: y) }
    let is16Bit = x.dtype.byteCount == 2 && y.dtype.byteCount == 2
    guard is16Bit || x.dtype == .f32 || y.dtype == .f32 else {
      // Every other pair passes through f32, as its values do on the CPU.
      return cast(floats(x), into: y)
    }
    launch(
      "cast_\(x.dtype.rawValue)_\(y.dtype.rawValue)", in: .cast, .f32,
      grid: (x.count.groups(of: 256 * 8), 1, 1), block: 256, .tensor(x), .tensor(y),
      .long(x.count))
  }
}

extension Int {
  /// How many groups of `size` hold this many.
  func groups(of size: Int) -> Int { (self + size - 1) / size }
}

extension DType {
  /// Elements in one access of 16 bytes.
  var vectorWidth: Int { 16 / byteCount }
}

extension Tensor {
  /// Blocks of 256 threads with one vector each.
  var blocksOfVectors: Int { count.groups(of: 256 * dtype.vectorWidth) }
}
