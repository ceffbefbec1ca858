extension CUDABackend {
  package func deltaRuleForward(
    _ problem: DeltaRuleProblem, into output: Tensor, finalState: Tensor
  ) {
    guard problem.attention.documents > 0 else { return }
    forward(
      problem, from: problem.attention.initialState, into: output, residual: nil, final: finalState,
      documents: problem.attention.documents, isSingle: false)
  }

  package func deltaRuleStep(_ problem: DeltaRuleProblem, state: Tensor, into output: Tensor) {
    guard problem.attention.tokens > 0 else { return }
    forward(
      problem, from: state, into: output, residual: nil, final: state,
      documents: problem.attention.tokens, isSingle: true)
  }

  package func deltaRuleBackward(
    _ problem: DeltaRuleProblem, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients, dBeta: Tensor
  ) {
    let (attention, beta) = (problem.attention, problem.beta)
    guard attention.documents > 0 else {
      if let dDecay = gradients.decay { fillZero(dDecay) }
      return
    }
    let (query, key, value) = (attention.query, attention.key, attention.value)
    let (tokens, heads) = (attention.tokens, attention.heads)
    let (dim, width) = (attention.keyDim, attention.valueDim)
    let (slopes, logDecay) = decays(of: attention)
    let residual = scratch(value.shape, .f32)
    let dUpdate = scratch(value.shape, .f32)
    forward(
      problem, from: attention.initialState, into: nil, residual: residual, final: nil,
      documents: attention.documents, isSingle: false)
    let columns = StateTile(width, of: dim)
    launch(
      "delta_rule_updates", in: .linearAttentionDelta, query.dtype, defines: columns.defines,
      grid: (attention.documents * heads * columns.count, 1, 1), block: 256,
      shared: columns.shared, .tensor(query), .tensor(key), .tensor(dOutput), .tensor(beta),
      .tensor(slopes), .tensor(logDecay), .tensor(attention.documentOffsets), .tensor(dFinalState),
      .tensor(gradients.value), .tensor(dUpdate), .tensor(gradients.initialState), .int(tokens),
      .int(heads), .int(dim), .int(width), .float(attention.scale))
    let rows = StateTile(dim, of: width)
    let grid = (attention.documents * heads * rows.count, 1, 1)
    let exactQuery = scratch(query.shape, .f32)
    let second = scratch(key.shape, .f32)
    let rowSums = scratch([attention.documents, heads, dim], .f64)
    launch(
      "delta_rule_queries", in: .linearAttentionDelta, query.dtype, defines: rows.defines,
      grid: grid, block: 256, shared: rows.shared, .tensor(key), .tensor(dOutput), .tensor(beta),
      .tensor(slopes), .tensor(logDecay), .tensor(attention.documentOffsets),
      .tensor(attention.initialState), .tensor(dFinalState), .tensor(residual), .tensor(dUpdate),
      .tensor(gradients.query), .tensor(exactQuery), .tensor(second), .tensor(rowSums),
      .int(tokens), .int(heads), .int(dim), .int(width), .float(attention.scale))
    let dLogDecay = gradients.decay.map { slopes == nil ? $0 : scratch(key.shape, .f32) }
    launch(
      "delta_rule_keys", in: .linearAttentionDelta, query.dtype, defines: rows.defines, grid: grid,
      block: 256, shared: rows.shared, .tensor(query), .tensor(key), .tensor(dOutput),
      .tensor(beta), .tensor(slopes), .tensor(logDecay), .tensor(attention.documentOffsets),
      .tensor(dFinalState), .tensor(residual), .tensor(dUpdate), .tensor(exactQuery),
      .tensor(second), .tensor(rowSums), .tensor(gradients.key), .tensor(dLogDecay), .int(tokens),
      .int(heads), .int(dim), .int(width), .float(attention.scale))
    if slopes != nil, let dLogDecay, let dSlopes = gradients.decay {
      launch(
        "delta_rule_slopes", in: .linearAttentionDelta, query.dtype, defines: rows.defines,
        grid: (heads, 1, 1), block: 256, .tensor(dLogDecay), .tensor(dSlopes), .long(tokens),
        .int(heads), .int(dim))
    }
    guard tokens > 0 else { return }
    launch(
      "delta_rule_beta", in: .linearAttentionDelta, query.dtype, defines: rows.defines,
      grid: ((tokens * heads).groups(of: 8), 1, 1), block: 256, .tensor(dUpdate),
      .tensor(residual), .tensor(dBeta), .long(tokens * heads), .int(width))
  }

  private func forward(
    _ problem: DeltaRuleProblem, from initial: Tensor?, into output: Tensor?, residual: Tensor?,
    final: Tensor?, documents: Int, isSingle: Bool
  ) {
    let attention = problem.attention
    let (slopes, logDecay) = decays(of: attention)
    let tile = StateTile(attention.valueDim, of: attention.keyDim)
    launch(
      "delta_rule_forward", in: .linearAttentionDelta, attention.query.dtype,
      defines: tile.defines, grid: (documents * attention.heads * tile.count, 1, 1), block: 256,
      shared: tile.shared, .tensor(attention.query), .tensor(attention.key),
      .tensor(attention.value), .tensor(problem.beta), .tensor(slopes), .tensor(logDecay),
      .tensor(attention.documentOffsets), .tensor(initial), .tensor(output), .tensor(residual),
      .tensor(final), .int(attention.tokens), .int(attention.heads), .int(attention.keyDim),
      .int(attention.valueDim), .float(attention.scale), .int(isSingle ? 1 : 0))
  }

  /// The decay of the rows of states, as kernels take it.
  private func decays(of problem: LinearAttentionProblem) -> (slopes: Tensor?, logDecay: Tensor?) {
    switch problem.decay {
    case .none: (nil, nil)
    case .constant(let slopes_H): (slopes_H, nil)
    case .vector(let logDecay_TC): (nil, logDecay_TC)
    // What the operation refuses.
    case .outer, .elementwise: (nil, nil)
    }
  }
}

/// How `linear_attention_tiles.cuh` cuts the channels of one axis of a state.
struct StateTile {
  let defines: [String]
  /// Bytes of shared memory.
  let shared: Int
  /// Tiles.
  let count: Int

  /// - Parameter whole: Channels of the other axis.
  init(_ channels: Int, of whole: Int) {
    let dim = LinearAttentionTile.rounded(whole)
    defines = ["DIM=\(dim)"]
    shared = 4 * 16 * (3 * dim + 3 * 32 + 1)
    count = (channels + 31) / 32
  }
}
