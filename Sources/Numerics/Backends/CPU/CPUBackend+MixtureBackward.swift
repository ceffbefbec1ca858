import CKernels

extension CPUBackend {
  package func mixtureBackward(
    _ dy_TD: Tensor, _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch,
    weights_TK: Tensor, saved: (gate: Tensor, up: Tensor), into gradients: MixtureGradients
  ) {
    let slots = ExpertSlots(dispatch, topK: weights_TK.columns)
    let type = x_TD.dtype
    let experts = ExpertWeights(
      gate: widened(experts.gate, to: type), up: widened(experts.up, to: type),
      down: widened(experts.down, to: type))
    let hidden = scratch([slots.count, experts.width], x_TD.dtype)
    if dispatch.isPartial, let target = gradients.weights, !target.accumulate {
      fillZero(target.buffer)
    }
    pullToHidden(
      dy_TD.reshaped(x_TD.shape), experts, slots, weights_TK, saved, hidden, gradients.weights)

    // From here on `saved` holds the gradients of the projections, `hidden` the weighted hidden
    // values. What is left are the gradients of x, tile by tile, and of the weights, expert by
    // expert and column block by column block: disjoint, so all of it is one list of tasks.
    let tiles = gradients.x == nil ? [] : outputTiles(tokens: x_TD.rows, columns: x_TD.columns)
    let columns = (0..<x_TD.columns).blocks(ofAtMost: columnBlock(x_TD.columns, slots.experts))
    let hasWeights = gradients.gate != nil || gradients.up != nil || gradients.down != nil
    let weightTasks = hasWeights ? slots.experts * columns.count : 0
    pool.run(weightTasks + tiles.count) { task in
      if task < weightTasks {
        weightGradients(
          task / columns.count, columns[task % columns.count], slots, dy_TD, x_TD, saved, hidden,
          gradients)
      } else if let dx = gradients.x {
        inputGradient(tiles[task - weightTasks], experts, slots, saved, dx)
      }
    }
  }

  /// `z = W_downᵀ dy` per slot, and from it the gradients of the combination weights
  /// (`<z, silu(g) · u>`, so experts' outputs need not be kept) and of both projections.
  private func pullToHidden(
    _ dy_TD: Tensor, _ experts: ExpertWeights, _ slots: ExpertSlots, _ weights_TK: Tensor,
    _ saved: (gate: Tensor, up: Tensor), _ hidden: Tensor, _ dWeights: MixtureGradients.Target?
  ) {
    let (width, model) = (experts.width, dy_TD.columns)
    let table = kernels(dy_TD.dtype)
    let blocks = slots.blocks(ofAtMost: rowBlock(slots.count))
    pool.run(blocks.count) { index in
      let (expert, rows) = blocks[index]
      let order = slots.order + rows.lowerBound
      let at = rows.lowerBound * width
      let dy_RD = scratch([rows.count, model], dy_TD.dtype)
      table.gather_rows(
        dy_TD.pointer, order, slots.topK, model, dy_RD.pointer, rows.count, model)
      GEMM(
        m: rows.count, n: width, k: model, transposeA: false, transposeB: false, lda: model,
        ldb: width, ldc: width, alpha: 1, beta: 0, dtype: dy_TD.dtype
      ).run(
        dy_RD.pointer, experts.down.pointer(at: expert * model * width), hidden.pointer(at: at))
      table.expert_swiglu_backward(
        saved.gate.pointer(at: at), saved.up.pointer(at: at), hidden.pointer(at: at),
        weights_TK.pointer, dWeights?.buffer.pointer, order, rows.count, width,
        dWeights?.accumulate == true ? 1 : 0)
    }
  }

  /// `dx (+)= dGate · W_gate + dUp · W_up` over one tile.
  private func inputGradient(
    _ tile: OutputTile, _ experts: ExpertWeights, _ slots: ExpertSlots,
    _ saved: (gate: Tensor, up: Tensor), _ dx: MixtureGradients.Target
  ) {
    let (width, model) = (experts.width, dx.buffer.columns)
    scatterTile(tile, slots, into: dx.buffer, accumulate: dx.accumulate) {
      expert, rows, columns, part in
      var product = GEMM(
        m: rows.count, n: columns.count, k: width, transposeA: false, transposeB: false,
        lda: width, ldb: model, ldc: columns.count, alpha: 1, beta: 0, dtype: dx.buffer.dtype)
      let start = expert * width * model + columns.lowerBound
      let at = rows.lowerBound * width
      product.run(saved.gate.pointer(at: at), experts.gate.pointer(at: start), part.pointer)
      product.beta = 1
      product.run(saved.up.pointer(at: at), experts.up.pointer(at: start), part.pointer)
    }
  }

  /// One expert's weight gradients in the columns (of gate and up; rows of down) given.
  private func weightGradients(
    _ expert: Int, _ columns: Range<Int>, _ slots: ExpertSlots, _ dy_TD: Tensor, _ x_TD: Tensor,
    _ saved: (gate: Tensor, up: Tensor), _ hidden: Tensor, _ gradients: MixtureGradients
  ) {
    let (width, model, dtype) = (hidden.columns, x_TD.columns, x_TD.dtype)
    let table = kernels(dtype)
    let base = expert * width * model
    let tile = scratch([gradientRows, columns.count], dtype)
    // An expert without tokens still runs once: with no rows the product writes zeros.
    let all = slots.range(of: expert)
    let blocks = all.isEmpty ? [all] : all.blocks(ofAtMost: gradientRows)
    for (index, rows) in blocks.enumerated() {
      let order = slots.order + rows.lowerBound
      let at = rows.lowerBound * width
      func gather(_ source: Tensor) {
        table.gather_rows(
          source.pointer(at: columns.lowerBound), order, slots.topK, model, tile.pointer,
          rows.count, columns.count)
      }
      func beta(_ target: MixtureGradients.Target) -> Double {
        target.accumulate || index > 0 ? 1 : 0
      }
      if gradients.gate != nil || gradients.up != nil { gather(x_TD) }
      for (target, source) in [(gradients.gate, saved.gate), (gradients.up, saved.up)] {
        guard let target else { continue }
        GEMM(
          m: width, n: columns.count, k: rows.count, transposeA: true, transposeB: false,
          lda: width, ldb: columns.count, ldc: model, alpha: 1, beta: beta(target), dtype: dtype
        ).run(
          source.pointer(at: at), tile.pointer,
          target.buffer.pointer(at: base + columns.lowerBound))
      }
      guard let target = gradients.down else { continue }
      gather(dy_TD)
      GEMM(
        m: columns.count, n: width, k: rows.count, transposeA: true, transposeB: false,
        lda: columns.count, ldb: width, ldc: width, alpha: 1, beta: beta(target), dtype: dtype
      ).run(
        tile.pointer, hidden.pointer(at: at),
        target.buffer.pointer(at: base + columns.lowerBound * width))
    }
  }

  /// Columns per weight-gradient task: whole matrices when there are many experts.
  private func columnBlock(_ model: Int, _ experts: Int) -> Int {
    let parts = max(1, (pool.threads * 4 + experts - 1) / experts)
    return max(128, (model + parts - 1) / parts)
  }
}

/// Tokens whose outer products are summed by one BLAS call.
private let gradientRows = 1024
