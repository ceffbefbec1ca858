import CKernels

extension CUDABackend: FusedMixtureKernels {
  package func mixtureLayer(
    _ x: Tensor, _ layer: MixtureLayer, residual: Tensor, routing: Routing, into y: Tensor
  ) {
    let (tokens, model) = (x.rows, x.columns)
    let normed = scratch(x.shape, x.dtype)
    let sharedScale = layer.sharedGate.map { _ in scratch([tokens], .f32) }
    let (gate, up, down) = (
      rowWeights(layer.gate_EID, for: x), rowWeights(layer.up_EID, for: x),
      rowWeights(layer.down_EDI, for: x)
    )
    // The kernels read one type of weights.
    let shared = layer.shared.map { maps in
      [maps.gate, maps.up, maps.down].map { converted($0.weight_OI, to: gate.dtype) }
    }
    let (width, sharedWidth) = (gate.shape[1], shared?[0].shape[0] ?? 0)
    routeRows(x, layer, normed: normed, sharedScale: sharedScale, routing)

    let slots = routing.experts_TK.count
    let hidden = scratch([slots, width], .f32)
    let sharedHidden = shared.map { _ in scratch([tokens, sharedWidth], .f32) }
    let vector = vectorFlag(
      [x, gate, up, down] + (shared ?? []), gate, model, width, sharedWidth)
    launch(
      RowsKernel(.expertHidden, x.dtype, weights: gate.dtype),
      grid: (max(width, sharedWidth).groups(of: 4), slots + (shared == nil ? 0 : tokens), 1),
      .tensor(normed), .tensor(routing.experts_TK), .tensor(routing.weights_TK), .tensor(gate),
      .tensor(up), .tensor(hidden), .tensor(shared?[0]), .tensor(shared?[1]),
      .tensor(sharedScale), .tensor(sharedHidden), .int(slots), .int(layer.topK), .int(model),
      .int(width), .int(sharedWidth), .int(vector))
    launch(
      RowsKernel(.expertOutput, x.dtype, weights: gate.dtype),
      grid: (model.groups(of: 8), tokens, 1), .tensor(hidden), .tensor(routing.experts_TK),
      .tensor(down), .tensor(sharedHidden), .tensor(shared?[2]), .tensor(residual), .tensor(y),
      .int(layer.experts), .int(layer.topK), .int(model), .int(width), .int(sharedWidth),
      .int(vector))
  }

  /// Norm, scores and selection.
  private func routeRows(
    _ x: Tensor, _ layer: MixtureLayer, normed: Tensor, sharedScale: Tensor?, _ routing: Routing
  ) {
    let experts = routing.counts_E.count
    precondition(experts <= 1024, "route: \(experts) experts, at most 1024 on a GPU")
    let (gain, router) = (floats(layer.norm.weight_D), floats(layer.router.weight_OI))
    let bias = layer.router.bias_O.map(floats)
    let (sharedGate, selection) = (
      layer.sharedGate.map(floats), layer.selectionBias.map(floats)
    )
    let expertGain = layer.gain.map(floats)
    let (rule, scale) = layer.combination.kernelArguments
    launch(
      RowsKernel(.route, x.dtype, rows: x.rowsOfKernel, extent: expertsPerLane(experts)),
      grid: (8, 1, 1), block: 512,
      shared: (x.rows + 1) * experts * 4, .tensor(x), .tensor(gain), .float(layer.norm.epsilon),
      .tensor(router), .tensor(bias), .tensor(sharedGate), .tensor(selection),
      .tensor(expertGain), .int(Int(rule.rawValue)), .float(scale), .tensor(normed),
      .tensor(routing.logits_TE), .tensor(routing.experts_TK), .tensor(routing.weights_TK),
      .tensor(routing.probabilities_TE), .tensor(routing.counts_E), .tensor(sharedScale),
      .tensor(arrived), .int(x.rows), .int(x.columns), .int(experts), .int(layer.topK),
      .int(vectorFlag([x, gain, router, sharedGate], router, x.columns)))
  }

  /// Experts a lane of a warp holds so that the warp holds all, a power of two.
  func expertsPerLane(_ experts: Int) -> Int {
    let lanes = experts.groups(of: 32)
    return lanes <= 1 ? 1 : 1 << (Int.bitWidth - (lanes - 1).leadingZeroBitCount)
  }
}
