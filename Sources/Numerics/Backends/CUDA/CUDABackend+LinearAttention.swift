extension CUDABackend {
  package func linearAttentionForward(
    _ problem: LinearAttentionProblem, into output: Tensor, finalState: Tensor
  ) {
    guard problem.documents > 0 else { return }
    if case .vector(let logDecay) = problem.decay, usesWarpgroups(problem, output) {
      return gatedForward(problem, logDecay, into: output, finalState: finalState)
    }
    if case .elementwise(let step_TE, let logRate_KE) = problem.decay {
      return elementwiseForward(
        problem, step_TE, logRate_KE, from: problem.initialState, into: output, final: finalState,
        documents: problem.documents, isSingle: false)
    }
    sweep(
      problem, .output, problem.query, problem.key, problem.value, from: problem.initialState,
      into: output, final: finalState)
  }

  package func linearAttentionBackward(
    _ problem: LinearAttentionProblem, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients
  ) {
    guard problem.documents > 0 else {
      for dDecay in [gradients.decay, gradients.valueDecay].compactMap({ $0 }) { fillZero(dDecay) }
      return
    }
    if case .vector(let logDecay) = problem.decay,
      usesWarpgroups(problem, dOutput, gradients.query, gradients.key, gradients.value)
    {
      return gatedBackward(
        problem, logDecay, dOutput: dOutput, dFinalState: dFinalState, into: gradients)
    }
    if case .elementwise(let step_TE, let logRate_KE) = problem.decay {
      return elementwiseBackward(
        problem, step_TE, logRate_KE, dOutput: dOutput, dFinalState: dFinalState, into: gradients)
    }
    let (query, key, value) = (problem.query, problem.key, problem.value)
    var (exactQuery, exactKey, finalState): (Tensor?, Tensor?, Tensor?)
    let isGated =
      switch problem.decay {
      case .none, .constant, .elementwise: false
      case .vector, .outer: gradients.decay != nil || gradients.valueDecay != nil
      }
    if isGated {
      // Differences of sums: what is rounded to 16 bits would not do.
      exactQuery = scratch(query.shape, .f32)
      exactKey = scratch(key.shape, .f32)
      finalState = scratch(problem.stateShape, .f32)
    }
    let exactValue = gradients.valueDecay.map { scratch($0.shape, .f32) }
    sweep(
      problem, .dQuery, dOutput, value, key, from: problem.initialState, into: gradients.query,
      exact: exactQuery, final: finalState)
    sweep(
      problem, .dKey, value, dOutput, query, from: dFinalState, into: gradients.key,
      exact: exactKey, final: nil)
    sweep(
      problem, .dValue, key, query, dOutput, from: dFinalState, into: gradients.value,
      exact: exactValue, final: gradients.initialState)
    if let dDecay = gradients.decay {
      switch problem.decay {
      case .none, .elementwise: break
      case .constant:
        slopeGradient(problem, dOutput: dOutput, dFinalState: dFinalState, into: dDecay)
      case .vector, .outer:
        logDecayGradient(
          problem, (query, exactQuery), (key, exactKey), finalState, dFinalState, isTurned: false,
          into: dDecay)
      }
    }
    guard let dDecay = gradients.valueDecay else { return }
    let exactOutput = scratch(value.shape, .f32)
    recurrence(
      problem, .output, query, key, value, from: problem.initialState, into: nil,
      exact: exactOutput, final: nil, documents: problem.documents, isSingle: false)
    logDecayGradient(
      problem, (dOutput, exactOutput), (value, exactValue), finalState, dFinalState,
      isTurned: true, into: dDecay)
  }

  /// The gradient of log-decays of the rows of states, or of their columns: then outputs and values
  /// stand for queries and keys.
  private func logDecayGradient(
    _ problem: LinearAttentionProblem, _ query: (Tensor, exact: Tensor?),
    _ key: (Tensor, exact: Tensor?), _ finalState: Tensor?, _ dFinalState: Tensor?, isTurned: Bool,
    into dDecay: Tensor
  ) {
    let (dim, width) = (problem.keyDim, problem.valueDim)
    launch(
      "linear_attention_log_decay", in: .linearAttentionVector, query.0.dtype,
      defines: ["DIM=32"], grid: (problem.documents * problem.heads, 1, 1), block: 128,
      .tensor(query.0), .tensor(key.0), .tensor(query.exact), .tensor(key.exact),
      .tensor(finalState), .tensor(dFinalState), .tensor(problem.documentOffsets),
      .tensor(dDecay), .int(problem.tokens), .int(problem.heads), .int(isTurned ? width : dim),
      .int(isTurned ? dim : width), .int(isTurned ? 1 : 0))
  }

  package func linearAttentionStep(
    _ problem: LinearAttentionProblem, state: Tensor, into output: Tensor
  ) {
    guard problem.tokens > 0 else { return }
    if case .elementwise(let step_TE, let logRate_KE) = problem.decay {
      return elementwiseForward(
        problem, step_TE, logRate_KE, from: state, into: output, final: state,
        documents: problem.tokens, isSingle: true)
    }
    recurrence(
      problem, .output, problem.query, problem.key, problem.value, from: state, into: output,
      exact: nil, final: state, documents: problem.tokens, isSingle: true)
  }

  /// The operation or one of its gradients; see `linear_attention.cu` for what stands for queries,
  /// keys and values in each.
  private func sweep(
    _ problem: LinearAttentionProblem, _ kind: LinearAttentionSweep, _ query: Tensor, _ key: Tensor,
    _ value: Tensor, from initial: Tensor?, into output: Tensor, exact: Tensor? = nil,
    final: Tensor?
  ) {
    switch problem.decay {
    case .none, .constant, .elementwise: break
    case .vector, .outer:
      return recurrence(
        problem, kind, query, key, value, from: initial, into: output, exact: exact, final: final,
        documents: problem.documents, isSingle: false)
    }
    let (heads, dim, width) = (
      problem.heads, query.columns / problem.heads, value.columns / problem.heads
    )
    if usesWarpgroups(problem, query, key, value, output) {
      return warpgroupSweep(
        problem, kind, query, key, value, from: initial, into: output, final: final)
    }
    let tile = LinearAttentionTile(dim)
    launch(
      "linear_attention_sweep", in: .linearAttention, query.dtype, defines: tile.defines,
      grid: (problem.documents * heads * tile.count(width), 1, 1), block: 256, shared: tile.shared,
      .tensor(query), .tensor(key), .tensor(value), .tensor(problem.decay.tensor),
      .tensor(problem.documentOffsets), .tensor(initial), .tensor(output), .tensor(final),
      .int(problem.tokens), .int(heads), .int(dim), .int(width),
      .float(kind.isReverse ? 1 : problem.scale), .float(kind.isReverse ? problem.scale : 1),
      .int(kind.isReverse ? 1 : 0), .int(kind.isTurned ? 1 : 0))
  }

  private func recurrence(
    _ problem: LinearAttentionProblem, _ kind: LinearAttentionSweep, _ query: Tensor, _ key: Tensor,
    _ value: Tensor, from initial: Tensor?, into output: Tensor?, exact: Tensor?, final: Tensor?,
    documents: Int, isSingle: Bool
  ) {
    let heads = problem.heads
    let (dim, width) = (query.columns / heads, value.columns / heads)
    var slopes: Tensor?
    // Of the rows of the state and of its columns.
    var decays: (rows: Tensor?, columns: Tensor?)
    switch problem.decay {
    case .none, .elementwise: break
    case .constant(let slopes_H): slopes = slopes_H
    case .vector(let logDecay_TC): decays.rows = logDecay_TC
    case .outer(let logDecay_TC, let valueLogDecay_TE): decays = (logDecay_TC, valueLogDecay_TE)
    }
    if kind.isTurned { decays = (decays.columns, decays.rows) }
    let rows = LinearAttentionTile.rounded(dim)
    launch(
      "linear_attention_recurrence", in: .linearAttentionVector, query.dtype,
      defines: ["DIM=\(rows)"], grid: (documents * heads * ((width + 31) / 32), 1, 1), block: 256,
      shared: 16 * (3 * rows + 10 * 32) * 4, .tensor(query), .tensor(key), .tensor(value),
      .tensor(slopes), .tensor(decays.rows), .tensor(decays.columns),
      .tensor(problem.documentOffsets), .tensor(initial),
      .tensor(output), .tensor(exact), .tensor(final), .int(problem.tokens), .int(heads), .int(dim),
      .int(width), .float(kind.isReverse ? 1 : problem.scale),
      .float(kind.isReverse ? problem.scale : 1), .int(kind.isReverse ? 1 : 0),
      .int(kind.isTurned ? 1 : 0), .int(isSingle ? 1 : 0))
  }

  private func slopeGradient(
    _ problem: LinearAttentionProblem, dOutput: Tensor, dFinalState: Tensor?, into dSlopes: Tensor
  ) {
    let tile = LinearAttentionTile(problem.keyDim, forSlopes: true)
    let tiles = tile.count(problem.valueDim)
    let parts = scratch([problem.documents, problem.heads, tiles], .f64)
    launch(
      "linear_attention_slopes", in: .linearAttention, problem.query.dtype, defines: tile.defines,
      grid: (parts.count, 1, 1), block: 256, shared: tile.shared, .tensor(problem.query),
      .tensor(problem.key), .tensor(problem.value), .tensor(problem.decay.tensor),
      .tensor(problem.documentOffsets), .tensor(problem.initialState), .tensor(dOutput),
      .tensor(dFinalState), .tensor(parts), .int(problem.tokens), .int(problem.heads),
      .int(problem.keyDim), .int(problem.valueDim), .float(problem.scale), .float(1), .int(0),
      .int(0))
    launch(
      "linear_attention_slope_sums", in: .linearAttention, problem.query.dtype,
      defines: tile.defines, grid: (problem.heads, 1, 1), block: 256, .tensor(parts),
      .tensor(dSlopes), .int(problem.documents), .int(problem.heads), .int(tiles))
  }
}

/// How `linear_attention.cu` cuts its work; the formulas are those of the constants there.
struct LinearAttentionTile {
  let defines: [String]
  /// Bytes of shared memory.
  let shared: Int
  private let columns: Int

  static func rounded(_ dim: Int) -> Int { dim > 192 ? 256 : (dim + 31) / 32 * 32 }

  init(_ dim: Int, forSlopes: Bool = false) {
    let dim = Self.rounded(dim)
    let chunk = dim > 128 ? 16 : 32
    columns = chunk
    defines = ["DIM=\(dim)"] + (forSlopes ? ["SLOPES=1"] : [])
    let floats = 2 * chunk * (dim + 1) + (2 * chunk + dim) * 33 + chunk
    shared = 4 * (floats + (forSlopes ? (chunk + dim) * 33 : 0))
  }

  /// Tiles of `width` value channels.
  func count(_ width: Int) -> Int { (width + columns - 1) / columns }
}
