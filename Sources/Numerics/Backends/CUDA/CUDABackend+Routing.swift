import CKernels

extension CUDABackend {
  package func routeForward(
    _ logits_TE: Tensor, selectionBias: Tensor?, combination: Combination, gain: Tensor?,
    experts_TK: Tensor, weights_TK: Tensor, probabilities_TE: Tensor, counts_E: Tensor
  ) {
    let (tokens, experts) = (logits_TE.rows, logits_TE.columns)
    precondition(logits_TE.dtype == .f32 && weights_TK.dtype == .f32, "route: logits in f32")
    precondition(experts <= 1024, "route: \(experts) experts, at most 1024 on a GPU")
    fillZero(counts_E)
    guard tokens > 0 else { return }
    let (rule, scale) = combination.kernelArguments
    launch(
      "route_forward_\(expertsPerLane(experts))", in: .routing, .f32,
      grid: (min(tokens.groups(of: 8), 8 * multiprocessors), 1, 1), block: 256,
      shared: experts * 4, .tensor(logits_TE), .tensor(selectionBias.map(floats)),
      .tensor(gain.map(floats)), .int(Int(rule.rawValue)), .float(scale),
      .tensor(experts_TK),
      .tensor(weights_TK), .tensor(probabilities_TE), .tensor(counts_E), .long(tokens),
      .int(experts), .int(experts_TK.columns))
  }

  package func routeBackward(
    _ logits_TE: Tensor, dWeights: Tensor?, dProbabilities: Tensor?, combination: Combination,
    gain: Tensor?, experts_TK: Tensor, weights_TK: Tensor, probabilities_TE: Tensor,
    dLogits: (Tensor, accumulate: Bool)?, dGain: Tensor?
  ) {
    let (tokens, experts) = (probabilities_TE.rows, probabilities_TE.columns)
    guard tokens > 0, dLogits != nil || dGain != nil else { return }
    let (rule, scale) = combination.kernelArguments
    // Fixed, so that sums do not depend on the GPU.
    let parts = min(tokens.groups(of: 8), 512)
    let partial = dGain.map { _ in scratch([parts, experts], .f32) }
    launch(
      "route_backward", in: .routing, .f32, grid: (parts, 1, 1), block: 256,
      shared: partial == nil ? 0 : experts * 8 * 4, .tensor(dWeights), .tensor(dProbabilities),
      .tensor(logits_TE), .tensor(gain.map(floats)), .int(Int(rule.rawValue)), .float(scale),
      .tensor(experts_TK),
      .tensor(weights_TK), .tensor(probabilities_TE), .tensor(dLogits?.0), .tensor(partial),
      .long(tokens), .int(experts), .int(experts_TK.columns),
      .int(dLogits?.accumulate == true ? 1 : 0))
    if let dGain, let partial { addPartialSums(partial, to: dGain) }
  }
}
