extension CUDABackend {
  package func rmsNormForward(
    _ x: Tensor, weight: Tensor, epsilon: Double, into y: Tensor, reciprocal: Tensor
  ) {
    let (rows, columns) = (x.rows, x.columns)
    guard rows > 0 else { return }
    let weight = floats(weight)
    // A warp is enough for a row of four vectors per lane.
    if columns <= 128 * x.dtype.vectorWidth {
      launch(
        "rms_norm_forward_narrow", in: .rmsNorm, x.dtype, grid: (rows.groups(of: 8), 1, 1),
        block: 256, .tensor(x), .tensor(weight), .float(epsilon), .tensor(y), .tensor(reciprocal),
        .long(rows), .int(columns))
    } else {
      launch(
        "rms_norm_forward", in: .rmsNorm, x.dtype, grid: (rows, 1, 1), block: 256,
        .tensor(x), .tensor(weight), .float(epsilon), .tensor(y), .tensor(reciprocal),
        .int(columns))
    }
  }

  package func rmsNormBackward(
    _ dy: Tensor, _ x: Tensor, weight: Tensor, reciprocal: Tensor, dx: (Tensor, accumulate: Bool)?,
    dWeight: Tensor?
  ) {
    let (rows, columns, width) = (x.rows, x.columns, x.dtype.vectorWidth)
    guard rows > 0, dx != nil || dWeight != nil else { return }
    let weight = floats(weight)
    // Vectors of columns a thread keeps to; its sums are in registers, so there is a limit.
    let held = columns.groups(of: 256 * width)
    let addresses = [dy, x, weight, dx?.0 ?? x].reduce(0) { $0 | $1.address }
    let accumulate = dx?.accumulate == true ? 1 : 0
    if columns % width == 0, columns >= 64 * width, held <= 32 / width, addresses % 16 == 0 {
      // Fixed, so that sums do not depend on the GPU.
      let partial = dWeight.map { _ in scratch([min(rows, 512), columns], .f32) }
      let variant = held <= 2 ? held : held <= 4 ? 4 : 8
      launch(
        "rms_norm_backward_\(variant)", in: .rmsNorm, x.dtype, grid: (min(rows, 512), 1, 1),
        block: 256, .tensor(dy), .tensor(x), .tensor(weight), .tensor(reciprocal), .tensor(dx?.0),
        .tensor(partial), .long(rows), .int(columns), .int(accumulate))
      if let dWeight, let partial { addPartialSums(partial, to: dWeight) }
      return
    }
    if let dWeight {
      let partial = scratch([min(64, rows.groups(of: 32)), columns], .f32)
      launch(
        "rms_norm_backward_weight", in: .rmsNorm, x.dtype,
        grid: (columns.groups(of: 32), partial.rows, 1), block: 256, .tensor(dy), .tensor(x),
        .tensor(reciprocal), .tensor(partial), .long(rows), .int(columns))
      addPartialSums(partial, to: dWeight)
    }
    if let dx {
      launch(
        "rms_norm_backward_rows", in: .rmsNorm, x.dtype, grid: (rows.groups(of: 8), 1, 1),
        block: 256, .tensor(dy), .tensor(x), .tensor(weight), .tensor(reciprocal), .tensor(dx.0),
        .long(rows), .int(columns), .int(accumulate))
    }
  }
}
