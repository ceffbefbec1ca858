extension CUDABackend {
  package func savedWidth(of experts: ExpertWeights, for x_TD: Tensor) -> Int {
    // Rows of a multiple of 16 bytes are what tensor cores are fed with (grouped_mma.cu).
    x_TD.dtype == .bf16 && x_TD.columns % 8 == 0 ? experts.width.groups(of: 8) * 8 : experts.width
  }

  /// The experts in the type of `x_TD`, with neurons of zeros up to ``savedWidth(of:for:)``: these
  /// add nothing, and their gradients are dropped.
  func padded(_ experts: ExpertWeights, for x_TD: Tensor) -> ExpertWeights {
    let width = savedWidth(of: experts, for: x_TD)
    guard width > experts.width else { return experts }
    func rows(_ weights: Tensor, _ shape: [Int], columns: Int) -> Tensor {
      let source = converted(weights, to: x_TD.dtype)
      let result = scratch(shape, x_TD.dtype)
      guard result.count > 0 else { return result }
      launch(
        "pad_rows", in: .expertPadding, x_TD.dtype, grid: (result.count.groups(of: 256), 1, 1),
        block: 256, .tensor(source), .tensor(result), .long(result.count), .long(columns),
        .long(columns / experts.width * width))
      return result
    }
    let (count, model) = (experts.count, x_TD.columns)
    let area = experts.width * model
    return ExpertWeights(
      gate: rows(experts.gate, [count, width, model], columns: area),
      up: rows(experts.up, [count, width, model], columns: area),
      down: rows(experts.down, [count, model, width], columns: experts.width))
  }

  /// Room for the gradients of padded experts; `finish` brings them to where `gradients` go.
  func padded(_ gradients: MixtureGradients, _ experts: ExpertWeights, width: Int) -> (
    gradients: MixtureGradients, finish: () -> Void
  ) {
    guard experts.width > width else { return (gradients, {}) }
    func room(_ target: MixtureGradients.Target?, like weights: Tensor)
      -> MixtureGradients.Target?
    {
      target.map { _ in (scratch(weights.shape, .f32), false) }
    }
    var padded = gradients
    padded.gate = room(gradients.gate, like: experts.gate)
    padded.up = room(gradients.up, like: experts.up)
    padded.down = room(gradients.down, like: experts.down)
    let model = experts.gate.shape[2]
    let pairs = [
      (padded.gate, gradients.gate, width * model), (padded.up, gradients.up, width * model),
      (padded.down, gradients.down, width),
    ]
    return (
      padded,
      { [self] in
        for case (let source?, let target?, let columns) in pairs where source.buffer.count > 0 {
          launch(
            "unpad_rows", in: .expertPadding, .f32,
            grid: (source.buffer.count.groups(of: 256), 1, 1), block: 256, .tensor(source.buffer),
            .tensor(target.buffer), .long(source.buffer.count), .long(columns),
            .long(columns / width * experts.width), .int(target.accumulate ? 1 : 0))
        }
      }
    )
  }
}
