extension CUDABackend {
  package func ropeTable(
    positions: Tensor, inverseFrequencies: Tensor, cosines: Tensor, sines: Tensor
  ) {
    let half = inverseFrequencies.count
    let count = positions.count * half
    guard count > 0 else { return }
    launch(
      "rope_table", in: .rope, .f32, grid: (count.groups(of: 256), 1, 1), block: 256,
      .tensor(positions), .tensor(floats(inverseFrequencies)), .tensor(cosines), .tensor(sines),
      .long(positions.count), .int(half))
  }

  package func rope(
    _ x: Tensor, cosines: Tensor, sines: Tensor, heads: Int, inverse: Bool, into y: Tensor,
    accumulate: Bool
  ) {
    let (rows, half) = (cosines.rows, cosines.columns)
    guard rows > 0, heads > 0, half > 0 else { return }
    let width = half % x.dtype.vectorWidth == 0 ? x.dtype.vectorWidth : 1
    launch(
      "rope", in: .rope, x.dtype, grid: (rows, 1, 1),
      block: min(256, (heads * half / width).groups(of: 32) * 32), .tensor(x), .tensor(cosines),
      .tensor(sines), .tensor(y), .int(heads), .int(half), .int(inverse ? 1 : 0),
      .int(accumulate ? 1 : 0))
  }
}
