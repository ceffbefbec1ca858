extension CUDABackend {
  /// Linear attention with a decay per element, see `linear_attention_elementwise.cu`.
  func elementwiseForward(
    _ problem: LinearAttentionProblem, _ step: Tensor, _ logRate: Tensor, from initial: Tensor?,
    into output: Tensor, final: Tensor, documents: Int, isSingle: Bool
  ) {
    let tile = StateTile(problem.valueDim, of: problem.keyDim)
    launch(
      "elementwise_forward", in: .linearAttentionElementwise, problem.query.dtype,
      defines: tile.defines, grid: (documents * problem.heads * tile.count, 1, 1), block: 256,
      shared: tile.shared, .tensor(problem.query), .tensor(problem.key), .tensor(problem.value),
      .tensor(step), .tensor(logRate), .tensor(problem.documentOffsets), .tensor(initial),
      .tensor(output), .tensor(final), .int(problem.tokens), .int(problem.heads),
      .int(problem.keyDim), .int(problem.valueDim), .float(problem.scale), .int(isSingle ? 1 : 0))
  }

  func elementwiseBackward(
    _ problem: LinearAttentionProblem, _ step: Tensor, _ logRate: Tensor, dOutput: Tensor,
    dFinalState: Tensor?, into gradients: LinearAttentionGradients
  ) {
    let (query, key, value) = (problem.query, problem.key, problem.value)
    let (heads, dim, width) = (problem.heads, problem.keyDim, problem.valueDim)
    let columns = StateTile(width, of: dim)
    let columnGrid = (problem.documents * heads * columns.count, 1, 1)
    var (asked, columnSums): (Tensor?, Tensor?)
    if gradients.decay != nil || gradients.valueDecay != nil {
      let parts = scratch(problem.stateShape, .f32)
      let products = scratch(value.shape, .f32)
      let sums = scratch([problem.documents, heads, width], .f64)
      launch(
        "elementwise_asked", in: .linearAttentionElementwise, query.dtype,
        defines: columns.defines, grid: columnGrid, block: 256, shared: columns.shared,
        .tensor(query), .tensor(key), .tensor(value), .tensor(dOutput), .tensor(step),
        .tensor(logRate), .tensor(problem.documentOffsets), .tensor(problem.initialState),
        .tensor(dFinalState), .tensor(products), .tensor(sums), .tensor(parts),
        .int(problem.tokens), .int(heads), .int(dim), .int(width), .float(problem.scale))
      if let dLogRate = gradients.decay {
        launch(
          "elementwise_rates", in: .linearAttentionElementwise, query.dtype,
          defines: columns.defines, grid: (dLogRate.count.groups(of: 256), 1, 1), block: 256,
          .tensor(parts), .tensor(dLogRate), .long(dLogRate.count), .int(problem.documents))
      }
      (asked, columnSums) = (products, sums)
    }
    launch(
      "elementwise_values", in: .linearAttentionElementwise, query.dtype, defines: columns.defines,
      grid: columnGrid, block: 256, shared: columns.shared, .tensor(query), .tensor(key),
      .tensor(value), .tensor(dOutput), .tensor(step), .tensor(logRate),
      .tensor(problem.documentOffsets), .tensor(dFinalState), .tensor(asked), .tensor(columnSums),
      .tensor(gradients.value), .tensor(gradients.valueDecay), .tensor(gradients.initialState),
      .int(problem.tokens), .int(heads), .int(dim), .int(width), .float(problem.scale))
    let rows = StateTile(dim, of: width)
    func sweepRows(
      _ own: Tensor, _ added: Tensor, _ wanted: Tensor, from initial: Tensor?, into output: Tensor,
      isReverse: Bool
    ) {
      launch(
        "elementwise_rows", in: .linearAttentionElementwise, query.dtype, defines: rows.defines,
        grid: (problem.documents * heads * rows.count, 1, 1), block: 256, shared: rows.shared,
        .tensor(own), .tensor(added), .tensor(wanted), .tensor(step), .tensor(logRate),
        .tensor(problem.documentOffsets), .tensor(initial), .tensor(output), .int(problem.tokens),
        .int(heads), .int(dim), .int(width), .float(problem.scale), .int(isReverse ? 1 : 0))
    }
    sweepRows(
      key, value, dOutput, from: problem.initialState, into: gradients.query, isReverse: false)
    sweepRows(query, dOutput, value, from: dFinalState, into: gradients.key, isReverse: true)
  }
}
