import CKernels

extension CPUBackend {
  /// A mixture over a few tokens: reading the weights is all the cost, so every (slot, rows of
  /// weights) is a task of its own and 16-bit weights are used as they are.
  func decodeMixture(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ slots: ExpertSlots, weights_TK: Tensor,
    into y_TD: Tensor
  ) {
    let (width, model, topK) = (experts.width, x_TD.columns, slots.topK)
    let swiglu = kernels(x_TD.dtype).expert_swiglu_forward
    let (gate, up) = (
      scratch([slots.count, width], x_TD.dtype), scratch([slots.count, width], x_TD.dtype)
    )
    let hidden = scratch([slots.count, width], x_TD.dtype)
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: slots.count * 2) { buffer in
      guard let ids = buffer.baseAddress else { return }
      // Slot s is row s here, so the kernel's list of slots is the identity.
      let identity = ids + slots.count
      // A slot that no expert has was dropped, which no token's first is.
      for slot in 0..<slots.count { ids[slot] = -1 }
      for expert in 0..<slots.experts {
        for position in slots.range(of: expert) { ids[Int(slots.order[position])] = Int32(expert) }
      }
      for slot in 0..<slots.count { identity[slot] = Int32(slot) }
      let inner = pieces(width, model)
      pool.run(slots.count * inner.count) { task in
        let (slot, rows) = (task / inner.count, inner[task % inner.count])
        guard ids[slot] >= 0 else { return }
        let (x, at) = (x_TD.pointer(at: slot / topK * model), slot * width + rows.lowerBound)
        let expert = Int(ids[slot])
        expertRows(x, experts.gate, expert, rows, into: gate.pointer(at: at), accumulate: false)
        expertRows(x, experts.up, expert, rows, into: up.pointer(at: at), accumulate: false)
        swiglu?(
          gate.pointer(at: at), up.pointer(at: at), weights_TK.pointer, identity + slot,
          hidden.pointer(at: at), 1, rows.count)
      }
      let outer = pieces(model, width * topK)
      pool.run(x_TD.rows * outer.count) { task in
        let (token, rows) = (task / outer.count, outer[task % outer.count])
        for slot in token * topK..<(token + 1) * topK where ids[slot] >= 0 {
          expertRows(
            hidden.pointer(at: slot * width), experts.down, Int(ids[slot]), rows,
            into: y_TD.pointer(at: token * model + rows.lowerBound), accumulate: slot % topK > 0)
        }
      }
    }
  }

  /// Rows of weights cut into pieces worth a task.
  private func pieces(_ rows: Int, _ columns: Int) -> [Range<Int>] {
    let least = max(16, parallelGrain / max(1, columns))
    return (0..<rows).blocks(ofAtMost: max(least, (rows + pool.threads - 1) / pool.threads))
  }

  /// `y (+)= W_e[rows] · x`.
  private func expertRows(
    _ x: UnsafeRawPointer, _ weights: Tensor, _ expert: Int, _ rows: Range<Int>,
    into y: UnsafeMutableRawPointer, accumulate: Bool
  ) {
    let inputs = weights.shape[2]
    let start = (expert * weights.shape[1] + rows.lowerBound) * inputs
    if let format = weights.dtype.half {
      let bits = weights.pointer.assumingMemoryBound(to: UInt16.self) + start
      kernels(.f32).gemv_half(format, x, bits, y, rows.count, inputs, accumulate ? 1 : 0)
    } else {
      kernels(weights.dtype).gemv(
        x, weights.pointer(at: start), y, rows.count, inputs, accumulate ? 1 : 0)
    }
  }
}
