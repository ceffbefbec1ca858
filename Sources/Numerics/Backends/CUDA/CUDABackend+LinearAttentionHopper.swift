// Linear attention in bf16 on Hopper: `linear_attention_hopper.cu` and, for a decay per token and
// channel, `linear_attention_gates.cu`.

extension CUDABackend {
  /// Whether these kernels take a problem, with its other tensors of activations.
  func usesWarpgroups(_ problem: LinearAttentionProblem, _ others: Tensor...) -> Bool {
    let tensors = [problem.query, problem.key, problem.value] + others
    return isHopper && max(problem.keyDim, problem.valueDim) <= 128 && problem.keyDim % 8 == 0
      && problem.valueDim % 8 == 0 && tensors.allSatisfy { $0.dtype == .bf16 }
      && areAligned(tensors)
  }

  func warpgroupSweep(
    _ problem: LinearAttentionProblem, _ kind: LinearAttentionSweep, _ query: Tensor, _ key: Tensor,
    _ value: Tensor, from initial: Tensor?, into output: Tensor, final: Tensor?
  ) {
    let (heads, documents) = (problem.heads, problem.documents)
    let (dim, width) = (query.columns / heads, value.columns / heads)
    let tile = WarpgroupTile(problem)
    let (headDim, chunk) = (tile.headDim, tile.chunk)
    let defines = ["HEAD_DIM=\(headDim)"]
    let (isReverse, isTurned) = (kind.isReverse ? 1 : 0, kind.isTurned ? 1 : 0)
    let keyScale = kind.isReverse ? problem.scale : 1
    // Few heads of long documents are cut, so that every multiprocessor has work.
    let longest = problem.tokens / documents / (4 * chunk)
    let parts = max(1, min(multiprocessors / (documents * heads), longest, 32))
    var states: Tensor?
    if parts > 1 {
      states = scratch([documents * heads, parts, headDim, headDim], .f32)
      launch(
        "linear_attention_states_hopper", in: .linearAttentionHopper, query.dtype,
        defines: defines, grid: (documents * heads * (parts - 1), 1, 1), block: 384,
        shared: tile.bytes(4 * chunk), .tensor(key), .tensor(value),
        .tensor(problem.decay.tensor), .tensor(problem.documentOffsets), .tensor(states),
        .int(problem.tokens), .int(heads), .int(dim), .int(width), .int(parts), .float(keyScale),
        .int(isReverse))
    }
    launch(
      "linear_attention_sweep_hopper", in: .linearAttentionHopper, query.dtype, defines: defines,
      grid: (documents * heads * parts, 1, 1), block: 384,
      shared: tile.sweepBytes, .tensor(query), .tensor(key), .tensor(value),
      .tensor(problem.decay.tensor), .tensor(problem.documentOffsets), .tensor(initial),
      .tensor(output), .tensor(final), .tensor(states), .int(problem.tokens), .int(heads),
      .int(dim), .int(width), .int(parts), .float(kind.isReverse ? 1 : problem.scale),
      .float(keyScale), .int(isReverse), .int(isTurned))
  }

  func gatedForward(
    _ problem: LinearAttentionProblem, _ logDecay: Tensor, into output: Tensor, finalState: Tensor
  ) {
    let gates = weighGates(problem, logDecay, isTurned: false)
    gatedSweep(
      problem, .output, gates, gates.query, gates.key, problem.value, from: problem.initialState,
      into: output, final: finalState)
  }

  func gatedBackward(
    _ problem: LinearAttentionProblem, _ logDecay: Tensor, dOutput: Tensor, dFinalState: Tensor?,
    into gradients: LinearAttentionGradients
  ) {
    let (query, key, value) = (problem.query, problem.key, problem.value)
    let tile = WarpgroupTile(problem)
    let gates = weighGates(problem, logDecay, isTurned: true)
    gatedSweep(
      problem, .dValue, gates, gates.key, gates.query, dOutput, from: dFinalState,
      into: gradients.value, final: gradients.initialState)
    let (outerQuery, outerKey) = (scratch(query.shape, .bf16), scratch(key.shape, .bf16))
    var saved: (states: Tensor, ends: Tensor)?
    if gradients.decay != nil {
      let rows = tile.chunks(problem) * problem.heads
      saved = (
        scratch([rows, tile.headDim, tile.headDim], .bf16),
        scratch([rows, tile.headDim / 16, tile.headDim], .f32)
      )
    }
    gatedSweep(
      problem, .dQuery, gates, dOutput, value, gates.key, from: problem.initialState,
      into: outerQuery, final: nil, saved: saved?.states)
    gatedSweep(
      problem, .dKey, gates, value, dOutput, gates.query, from: dFinalState, into: outerKey,
      final: nil, saved: saved?.states, ends: saved?.ends)
    let part = 64
    launch(
      "linear_attention_gate_gradients", in: .linearAttentionGates, .bf16,
      defines: ["HEAD_DIM=\(tile.headDim)", "BACKWARD=1"],
      grid: (tile.chunks(problem) * problem.heads * tile.headDim / part, 1, 1), block: 256,
      shared: tile.chunk * (2 * tile.chunk + max(4 * tile.headDim, 10 * part)),
      .tensor(query), .tensor(key), .tensor(value), .tensor(logDecay), .tensor(dOutput),
      .tensor(problem.documentOffsets), .tensor(outerQuery), .tensor(outerKey),
      .tensor(saved?.ends), .tensor(gradients.query), .tensor(gradients.key),
      .tensor(gradients.decay), .int(problem.documents), .int(problem.tokens),
      .int(problem.heads), .int(problem.keyDim), .int(problem.valueDim), .float(problem.scale))
  }

  /// What sweeps over chunks take in place of queries and keys.
  private struct Gates {
    let query: Tensor
    let key: Tensor
    /// Of whole chunks.
    let decays: Tensor
    /// Within chunks.
    let weights: Tensor
  }

  private func weighGates(
    _ problem: LinearAttentionProblem, _ logDecay: Tensor, isTurned: Bool
  ) -> Gates {
    let tile = WarpgroupTile(problem)
    let rows = tile.chunks(problem) * problem.heads
    let gates = Gates(
      query: scratch(problem.query.shape, .bf16), key: scratch(problem.key.shape, .bf16),
      decays: scratch([rows, tile.headDim], .f32),
      weights: scratch([rows, tile.chunk, tile.chunk], .bf16))
    launch(
      "linear_attention_gate_weights", in: .linearAttentionGates, .bf16,
      defines: ["HEAD_DIM=\(tile.headDim)"], grid: (rows, 1, 1), block: 512,
      shared: tile.chunk * (6 * tile.headDim + 2 * tile.chunk),
      .tensor(problem.query), .tensor(problem.key), .tensor(logDecay),
      .tensor(problem.documentOffsets), .tensor(gates.query), .tensor(gates.key),
      .tensor(gates.decays), .tensor(gates.weights), .int(problem.documents),
      .int(problem.tokens), .int(problem.heads), .int(problem.keyDim), .float(problem.scale),
      .int(isTurned ? 1 : 0))
    return gates
  }

  /// - Parameters:
  ///   - saved: Takes the states after all chunks, or, with `ends`, has them.
  ///   - ends: Takes sums of the products of the saved states and this sweep's.
  private func gatedSweep(
    _ problem: LinearAttentionProblem, _ kind: LinearAttentionSweep, _ gates: Gates,
    _ query: Tensor,
    _ key: Tensor, _ value: Tensor, from initial: Tensor?, into output: Tensor, final: Tensor?,
    saved: Tensor? = nil, ends: Tensor? = nil
  ) {
    let tile = WarpgroupTile(problem)
    launch(
      kind.isTurned ? "linear_attention_gated_outer" : "linear_attention_gated_sweep",
      in: .linearAttentionHopper, .bf16, defines: ["HEAD_DIM=\(tile.headDim)", "GATES=1"],
      grid: (problem.documents * problem.heads, 1, 1), block: 384, shared: tile.sweepBytes,
      .tensor(query), .tensor(key), .tensor(value), .tensor(gates.decays),
      .tensor(gates.weights), .tensor(problem.documentOffsets), .tensor(initial),
      .tensor(output), .tensor(final), .tensor(saved), .tensor(ends), .int(problem.tokens),
      .int(problem.heads), .int(query.columns / problem.heads),
      .int(value.columns / problem.heads), .float(kind == .dQuery ? problem.scale : 1),
      .int(kind.isReverse ? 1 : 0), .int(kind.isTurned ? 1 : 0))
  }
}

/// What one sweep over the tokens computes.
enum LinearAttentionSweep {
  case output, dQuery, dKey, dValue

  /// From the last token to the first.
  var isReverse: Bool { self == .dKey || self == .dValue }
  /// The state's rows are value channels.
  var isTurned: Bool { self == .dQuery || self == .dKey }
}

/// How these kernels cut their work; the formulas are those of the constants there.
private struct WarpgroupTile {
  /// Channels per head the kernels are compiled for.
  let headDim: Int
  /// Tokens.
  let chunk = 128

  init(_ problem: LinearAttentionProblem) {
    headDim = max(problem.keyDim, problem.valueDim) > 64 ? 128 : 64
  }

  /// Shared memory for so many rows.
  func bytes(_ rows: Int) -> Int { 1024 + rows * headDim * 2 }

  var sweepBytes: Int { bytes(6 * chunk + headDim) }

  /// At least the chunks of all documents.
  func chunks(_ problem: LinearAttentionProblem) -> Int {
    problem.tokens / chunk + problem.documents
  }
}
