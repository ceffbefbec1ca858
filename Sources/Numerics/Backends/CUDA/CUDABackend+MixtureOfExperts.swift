extension CUDABackend {
  package func mixtureForward(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch, weights_TK: Tensor,
    into y_TD: Tensor, saved: (gate: Tensor, up: Tensor)?
  ) {
    guard y_TD.count > 0 else { return }
    let experts = padded(experts, for: x_TD)
    let hidden = expertHidden(x_TD, experts, dispatch, weights_TK, saved)
    let (slots, model) = (dispatch.order.count, x_TD.columns)
    let down = converted(experts.down, to: x_TD.dtype)
    let part = scratch([slots, model], x_TD.dtype)
    if dispatch.isPartial { fillZero(part) }
    let products = ExpertProducts(x_TD, [hidden, down, part], experts, self)
    launch(
      "expert_down", in: products.file, x_TD.dtype, defines: products.defines,
      grid: (products.blocks, 1, 1), block: 256, shared: products.shared, .tensor(hidden),
      .tensor(dispatch.order), .tensor(dispatch.offsets),
      .tensor(down), .tensor(part), .int(experts.count), .int(model), .int(experts.width),
      .int(products.vector))
    combineSlots(part, topK: weights_TK.columns, into: y_TD, accumulate: false)
  }

  /// The weighted hidden values `[T · K, I]`, in the dispatch's order.
  private func expertHidden(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch, _ weights_TK: Tensor,
    _ saved: (gate: Tensor, up: Tensor)?
  ) -> Tensor {
    let hidden = scratch([dispatch.order.count, experts.width], x_TD.dtype)
    let gate = converted(experts.gate, to: x_TD.dtype)
    let up = converted(experts.up, to: x_TD.dtype)
    let products = ExpertProducts(x_TD, [gate, up, hidden, saved?.gate, saved?.up], experts, self)
    launch(
      "expert_gate_up", in: products.file, x_TD.dtype, defines: products.defines,
      grid: (products.blocks, 1, 1), block: 256, shared: products.shared, .tensor(x_TD),
      .tensor(dispatch.order), .tensor(dispatch.offsets),
      .tensor(gate), .tensor(up), .tensor(weights_TK), .tensor(hidden), .tensor(saved?.gate),
      .tensor(saved?.up), .int(experts.count), .int(weights_TK.columns), .int(x_TD.columns),
      .int(experts.width), .int(products.vector))
    return hidden
  }

  /// `y_t (+)= Σ_k part[t · K + k]`, always in the order of `k`.
  func combineSlots(_ part: Tensor, topK: Int, into y_TD: Tensor, accumulate: Bool) {
    guard y_TD.count > 0 else { return }
    let model = part.columns
    let vector = model * y_TD.dtype.byteCount % 16 == 0 && areAligned([part, y_TD])
    let work = (y_TD.count + 255) / 256
    launch(
      "combine_slots", in: .mixtureElementwise, y_TD.dtype,
      grid: (min(work, multiprocessors * 16), 1, 1), block: 256, shared: 0, .tensor(part),
      .tensor(y_TD), .long(y_TD.count), .int(topK), .int(model), .int(accumulate ? 1 : 0),
      .int(vector ? 1 : 0))
  }

  /// Whether all tensors present may be accessed 16 bytes at a time.
  func areAligned(_ tensors: [Tensor?]) -> Bool {
    tensors.allSatisfy { ($0?.address ?? 0) % 16 == 0 }
  }
}

/// How a product over all experts is launched: on tensor cores if types and shapes permit.
struct ExpertProducts {
  let file: KernelFile
  /// Blocks of the grid, which walk the tiles of all experts; how many tiles there are is known on
  /// the device only.
  let blocks: Int
  /// Further definitions for the compiler.
  let defines: [String]
  /// Dynamic shared memory, in bytes.
  let shared: Int
  /// 1 if runs of four values are aligned.
  let vector: Int
  /// How many sums of a slot's gradient with respect to its routing weight `expert_pull` writes.
  let sums: Int

  init(_ x_TD: Tensor, _ others: [Tensor?], _ experts: ExpertWeights, _ backend: CUDABackend) {
    let (model, width) = (x_TD.columns, experts.width)
    let isAligned = backend.areAligned([x_TD] + others)
    vector = isAligned && model % 4 == 0 && width % 4 == 0 ? 1 : 0
    let most = backend.sharedMemoryPerBlock
    let ahead = most < Self.stages(isHopper: backend.isHopper, ahead: 2) ? 1 : 2
    let stages = Self.stages(isHopper: backend.isHopper, ahead: ahead)
    if x_TD.dtype == .bf16, isAligned, model % 8 == 0, width % 8 == 0, stages <= most {
      file = .groupedMMA
      defines = ahead == 2 ? [] : ["AHEAD=\(ahead)"]
      blocks = backend.multiprocessors
      shared = stages
      sums = (width + 255) / 256 * 4
    } else {
      file = .groupedGEMM
      defines = []
      blocks = backend.multiprocessors * 2
      shared = 0
      sums = (width + 127) / 128
    }
  }

  /// Bytes of stages of 128 + 256 rows of 128 bytes: those copied ahead, one that is multiplied, with
  /// Hopper's instructions one they are still reading; and room to align them.
  private static func stages(isHopper: Bool, ahead: Int) -> Int {
    (ahead + (isHopper ? 2 : 1)) * 384 * 128 + 1024
  }
}
