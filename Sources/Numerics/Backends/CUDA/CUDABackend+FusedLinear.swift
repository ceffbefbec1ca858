extension CUDABackend: FusedLinearKernels, FusedAttentionInputKernels {
  package var fused: (any FusedKernels)? { self }

  package func residualLinear(_ x: Tensor, _ map: LinearMap, residual: Tensor, into y: Tensor) {
    let weight = rowWeights(map.weight_OI, for: x)
    let bias = map.bias_O.map(floats)
    launch(
      RowsKernel(.linear, x.dtype, weights: weight.dtype, rows: x.rowsOfKernel),
      grid: (weight.shape[0].groups(of: 8), 1, 1), .tensor(x), .tensor(weight), .tensor(bias),
      .tensor(residual), .tensor(y), .int(x.rows), .int(x.columns), .int(weight.shape[0]),
      .int(vectorFlag([x, weight], weight, x.columns)))
  }

  package func normalizedLinear(_ x: Tensor, norm: RMSNorm, _ map: LinearMap, into y: Tensor) {
    precondition(y.dtype == x.dtype || y.dtype == .f32, "linear: \(x.dtype) into \(y.dtype)")
    let (gain, weight) = (floats(norm.weight_D), rowWeights(map.weight_OI, for: x))
    let bias = map.bias_O.map(floats)
    launch(
      RowsKernel(.normalizedLinear, x.dtype, weights: weight.dtype, rows: x.rowsOfKernel),
      grid: (weight.shape[0].groups(of: 8), 1, 1), .tensor(x), .tensor(gain),
      .float(norm.epsilon), .tensor(weight), .tensor(bias), .tensor(y),
      .tensor(y.dtype == .f32 ? y : nil), .int(x.rows), .int(x.columns), .int(weight.shape[0]),
      .int(vectorFlag([x, gain, weight], weight, x.columns)))
  }

  package func normalizedSwiGLU(
    _ x: Tensor, norm: RMSNorm, gate: LinearMap, up: LinearMap, into hidden: Tensor
  ) {
    let gain = floats(norm.weight_D)
    let (gateWeight, upWeight) = (
      rowWeights(gate.weight_OI, for: x), rowWeights(up.weight_OI, for: x)
    )
    let (gateBias, upBias) = (gate.bias_O.map(floats), up.bias_O.map(floats))
    launch(
      RowsKernel(.swiglu, x.dtype, weights: gateWeight.dtype, rows: x.rowsOfKernel),
      grid: (hidden.columns.groups(of: 4), 1, 1), .tensor(x), .tensor(gain),
      .float(norm.epsilon), .tensor(gateWeight), .tensor(upWeight), .tensor(gateBias),
      .tensor(upBias), .tensor(hidden), .int(x.rows), .int(x.columns), .int(hidden.columns),
      .int(vectorFlag([x, gain, gateWeight, upWeight], gateWeight, x.columns)))
  }

  package func attentionInput(
    _ x: Tensor, norm: RMSNorm, _ projections: AttentionProjections, positions: Tensor,
    into input: AttentionInput
  ) {
    let gain = floats(norm.weight_D)
    let maps = [projections.query, projections.key, projections.value]
    let weights = maps.map { rowWeights($0.weight_OI, for: x) }
    let biases = maps.map { $0.bias_O.map(floats) }
    let frequencies = floats(projections.inverseFrequencies)
    let half = frequencies.count
    let pairs = (projections.heads + 2 * projections.keyHeads) * half
    launch(
      RowsKernel(.attentionInput, x.dtype, weights: weights[0].dtype, rows: x.rowsOfKernel),
      grid: (pairs.groups(of: 4), 1, 1), .tensor(x), .tensor(gain), .float(norm.epsilon),
      .tensor(weights[0]), .tensor(weights[1]), .tensor(weights[2]), .tensor(biases[0]),
      .tensor(biases[1]), .tensor(biases[2]), .tensor(positions), .tensor(frequencies),
      .tensor(input.query), .tensor(input.key), .tensor(input.value), .int(x.rows),
      .int(x.columns), .int(projections.heads), .int(projections.keyHeads), .int(half),
      .int(vectorFlag([x, gain] + weights, weights[0], x.columns)))
  }

  /// Weights as kernels for a few rows read them: in the type they have, but never wider than the
  /// activations.
  func rowWeights(_ weight: Tensor, for x: Tensor) -> Tensor {
    weight.dtype == .f32 ? converted(weight, to: x.dtype) : weight
  }

  /// 1 if rows of weights, and the tensors, may be read 16 bytes at a time.
  func vectorFlag(_ tensors: [Tensor?], _ weight: Tensor, _ columns: Int...) -> Int {
    areAligned(tensors) && columns.allSatisfy { $0 % weight.dtype.vectorWidth == 0 } ? 1 : 0
  }
}

extension Tensor {
  /// For how many rows a kernel for these is compiled.
  var rowsOfKernel: Int { rows <= 2 ? rows : rows <= 4 ? 4 : 8 }
}
