import CKernels

extension CPUBackend {
  package func routeForward(
    _ logits_TE: Tensor, selectionBias: Tensor?, combination: Combination, gain: Tensor?,
    experts_TK: Tensor, weights_TK: Tensor, probabilities_TE: Tensor, counts_E: Tensor
  ) {
    let (experts, topK) = (logits_TE.columns, experts_TK.columns)
    let kernel = kernels(logits_TE.dtype).route_forward
    let (rule, scale) = combination.kernelArguments
    pool.forRanges(logits_TE.rows, minimum: max(1, parallelGrain / 8 / experts)) { rows in
      let i = rows.lowerBound
      kernel?(
        logits_TE.pointer(at: i * experts), selectionBias?.pointer, gain?.pointer, rule, scale,
        experts_TK.integers + i * topK, weights_TK.pointer(at: i * topK),
        probabilities_TE.pointer(at: i * experts), rows.count, experts, topK)
    }
    fillZero(counts_E)
    let (chosen, counts) = (experts_TK.integers, counts_E.integers)
    for slot in 0..<experts_TK.count { counts[Int(chosen[slot])] += 1 }
  }

  package func routeBackward(
    _ logits_TE: Tensor, dWeights: Tensor?, dProbabilities: Tensor?, combination: Combination,
    gain: Tensor?, experts_TK: Tensor, weights_TK: Tensor, probabilities_TE: Tensor,
    dLogits: (Tensor, accumulate: Bool)?, dGain: Tensor?
  ) {
    let (tokens, experts) = (probabilities_TE.rows, probabilities_TE.columns)
    let topK = experts_TK.columns
    let table = kernels(probabilities_TE.dtype)
    let (rule, scale) = combination.kernelArguments
    // Each range sums the gain's gradient into its own row; the rows are added in order.
    let parts = max(1, min(pool.threads * 2, tokens * experts / (parallelGrain / 8)))
    let partial = scratch([parts, experts], probabilities_TE.dtype)
    fillZero(partial)
    pool.run(parts) { part in
      let start = tokens * part / parts
      let rows = tokens * (part + 1) / parts - start
      table.route_backward(
        dWeights?.pointer(at: start * topK), dProbabilities?.pointer(at: start * experts),
        logits_TE.pointer(at: start * experts), gain?.pointer, rule, scale,
        experts_TK.integers + start * topK,
        weights_TK.pointer(at: start * topK), probabilities_TE.pointer(at: start * experts),
        dLogits?.0.pointer(at: start * experts),
        dGain == nil ? nil : partial.pointer(at: part * experts), rows, experts, topK,
        dLogits?.accumulate == true ? 1 : 0)
    }
    guard let dGain else { return }
    for part in 0..<parts {
      table.add(dGain.pointer, partial.pointer(at: part * experts), dGain.pointer, experts)
    }
  }

  package func groupByExpert(
    _ experts_TK: Tensor, counts_E: Tensor, order: Tensor, offsets: Tensor
  ) {
    let (chosen, counts) = (experts_TK.integers, counts_E.integers)
    let (slots, starts) = (order.integers, offsets.integers)
    starts[0] = 0
    for expert in 0..<counts_E.count { starts[expert + 1] = starts[expert] + counts[expert] }
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: counts_E.count) { next in
      for expert in 0..<counts_E.count { next[expert] = starts[expert] }
      for slot in 0..<experts_TK.count {
        let expert = Int(chosen[slot])
        guard expert >= 0 else { continue }
        slots[Int(next[expert])] = Int32(slot)
        next[expert] += 1
      }
    }
  }
}

extension Combination {
  /// The rule and its number as the kernels take them.
  var kernelArguments: (hk_combination, Double) {
    switch self {
    case .renormalizedSoftmax(let scale): (HK_RENORMALIZED, scale)
    case .softmax(let scale): (HK_SOFTMAX, scale)
    case .gained: (HK_GAINED, 1)
    case .uniform(let weight): (HK_UNIFORM, weight)
    case .sigmoid(let scale): (HK_SIGMOID, scale)
    case .renormalizedSigmoid(let scale): (HK_RENORMALIZED_SIGMOID, scale)
    }
  }
}
