extension CUDABackend {
  package func mixtureBackward(
    _ dy_TD: Tensor, _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch,
    weights_TK: Tensor, saved: (gate: Tensor, up: Tensor), into gradients: MixtureGradients
  ) {
    let dy_TD = dy_TD.reshaped(x_TD.shape)
    let width = experts.width
    let experts = padded(experts, for: x_TD)
    let (gradients, finish) = padded(gradients, experts, width: width)
    pullToWeights(dy_TD, x_TD, experts, dispatch, weights_TK, saved, gradients)
    finish()
    if let dx = gradients.x {
      inputGradient(x_TD, experts, dispatch, topK: weights_TK.columns, saved, dx)
    }
  }

  /// Everything but the gradient of x. Leaves the gradients of the projections in `saved`; the
  /// weighted hidden values last only as long as this.
  private func pullToWeights(
    _ dy_TD: Tensor, _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch,
    _ weights_TK: Tensor, _ saved: (gate: Tensor, up: Tensor), _ gradients: MixtureGradients
  ) {
    let (slots, width, model) = (dispatch.order.count, experts.width, x_TD.columns)
    let hidden = scratch([slots, width], x_TD.dtype)
    if slots > 0 {
      let down = converted(experts.down, to: x_TD.dtype)
      let products = ExpertProducts(
        x_TD, [dy_TD, down, hidden, saved.gate, saved.up], experts, self)
      let sums = gradients.weights.map { _ in scratch([slots, products.sums], .f32) }
      launch(
        "expert_pull", in: products.file, x_TD.dtype, defines: products.defines,
        grid: (products.blocks, 1, 1), block: 256, shared: products.shared, .tensor(dy_TD),
        .tensor(dispatch.order),
        .tensor(dispatch.offsets), .tensor(down), .tensor(weights_TK), .tensor(saved.gate),
        .tensor(saved.up), .tensor(hidden), .tensor(sums), .int(experts.count),
        .int(weights_TK.columns), .int(model), .int(width), .int(products.vector))
      if let target = gradients.weights {
        if dispatch.isPartial, !target.accumulate { fillZero(target.buffer) }
        launch(
          "sum_weight_gradients", in: .mixtureElementwise, x_TD.dtype,
          grid: ((slots + 255) / 256, 1, 1), block: 256, shared: 0, .tensor(sums),
          .tensor(dispatch.order), .tensor(dispatch.offsets), .int(experts.count),
          .tensor(target.buffer), .int(slots), .int(products.sums),
          .int(target.accumulate ? 1 : 0))
      }
    }
    func weightGradient(
      _ kernel: String, _ a: Tensor, _ b: Tensor, _ target: MixtureGradients.Target?
    ) {
      guard let target, target.buffer.count > 0 else { return }
      let products = ExpertProducts(x_TD, [a, b, target.buffer], experts, self)
      launch(
        kernel, in: products.file, x_TD.dtype, defines: products.defines,
        grid: (products.blocks, 1, 1), block: 256, shared: products.shared, .tensor(a), .tensor(b),
        .tensor(dispatch.order),
        .tensor(dispatch.offsets), .tensor(target.buffer), .int(experts.count),
        .int(weights_TK.columns), .int(a.columns), .int(b.columns),
        .int(target.accumulate ? 1 : 0), .int(products.vector))
    }
    // An expert without tokens still gets its zeros.
    weightGradient("expert_down_gradient", dy_TD, hidden, gradients.down)
    weightGradient("expert_projection_gradient", saved.gate, x_TD, gradients.gate)
    weightGradient("expert_projection_gradient", saved.up, x_TD, gradients.up)
  }

  /// `dx (+)= dGate · W_gate + dUp · W_up`.
  private func inputGradient(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch, topK: Int,
    _ saved: (gate: Tensor, up: Tensor), _ dx: MixtureGradients.Target
  ) {
    let (slots, model) = (dispatch.order.count, x_TD.columns)
    guard x_TD.count > 0 else { return }
    let gate = converted(experts.gate, to: x_TD.dtype)
    let up = converted(experts.up, to: x_TD.dtype)
    let part = scratch([slots, model], x_TD.dtype)
    if dispatch.isPartial { fillZero(part) }
    let products = ExpertProducts(
      x_TD, [gate, up, part, saved.gate, saved.up], experts, self)
    launch(
      "expert_input_gradient", in: products.file, x_TD.dtype, defines: products.defines,
      grid: (products.blocks, 1, 1), block: 256, shared: products.shared, .tensor(saved.gate),
      .tensor(saved.up),
      .tensor(dispatch.order), .tensor(dispatch.offsets), .tensor(gate), .tensor(up),
      .tensor(part), .int(experts.count), .int(model), .int(experts.width),
      .int(products.vector))
    combineSlots(part, topK: topK, into: dx.buffer, accumulate: dx.accumulate)
  }
}
