import Glibc

extension CPUBackend {
  package func packExperts(_ x_TC: Tensor, experts_TK: Tensor, order: Tensor, into y_PW: Tensor) {
    let (columns, width) = (x_TC.columns, y_PW.columns)
    forPacked(experts_TK, order, width: width) { position, token, expert in
      memcpy(
        y_PW.pointer(at: position * width), x_TC.pointer(at: token * columns + expert * width),
        width * x_TC.dtype.byteCount)
    }
  }

  package func unpackExperts(_ x_PW: Tensor, experts_TK: Tensor, order: Tensor, into y_TC: Tensor) {
    let (columns, width) = (y_TC.columns, x_PW.columns)
    fillZero(y_TC)
    forPacked(experts_TK, order, width: width) { position, token, expert in
      memcpy(
        y_TC.pointer(at: token * columns + expert * width), x_PW.pointer(at: position * width),
        width * x_PW.dtype.byteCount)
    }
  }

  package func packedStarts(
    _ documentStarts_T: Tensor, experts_TK: Tensor, dispatch: ExpertDispatch, window: Int,
    into starts_P: Tensor
  ) {
    let topK = experts_TK.columns
    let (order, offsets) = (dispatch.order.integers, dispatch.offsets.integers)
    forPacked(experts_TK, dispatch.order, width: 16) { position, token, expert in
      let document = Int(documentStarts_T.integers[token])
      let first = window > 0 ? max(document, token - window + 1) : document
      // Tokens ascend within an expert: the first position that is late enough.
      var (low, high) = (Int(offsets[expert]), position)
      while low < high {
        let middle = (low + high) / 2
        if Int(order[middle]) / topK >= first { high = middle } else { low = middle + 1 }
      }
      starts_P.integers[position] = Int32(low)
    }
  }

  /// Calls `body` with the token and the expert of each position of a dispatch.
  private func forPacked(
    _ experts_TK: Tensor, _ order: Tensor, width: Int,
    _ body: (_ position: Int, _ token: Int, _ expert: Int) -> Void
  ) {
    let topK = experts_TK.columns
    pool.forRanges(order.count, minimum: max(1, parallelGrain / max(1, width))) { positions in
      for position in positions {
        let slot = Int(order.integers[position])
        body(position, slot / topK, Int(experts_TK.integers[slot]))
      }
    }
  }
}
