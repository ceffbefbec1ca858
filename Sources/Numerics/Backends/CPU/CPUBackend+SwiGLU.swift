import CKernels

extension CPUBackend {
  package func swigluForward(gate: Tensor, up: Tensor, into y: Tensor) {
    let kernel = kernels(gate.dtype).swiglu_forward
    pool.forRanges(gate.count, minimum: parallelGrain / 4) { range in
      let i = range.lowerBound
      kernel?(gate.pointer(at: i), up.pointer(at: i), y.pointer(at: i), range.count)
    }
  }

  package func swigluBackward(
    _ dy: Tensor, gate: Tensor, up: Tensor, dGate: (Tensor, accumulate: Bool)?,
    dUp: (Tensor, accumulate: Bool)?
  ) {
    let kernel = kernels(gate.dtype).swiglu_backward
    pool.forRanges(gate.count, minimum: parallelGrain / 4) { range in
      let i = range.lowerBound
      kernel?(
        dy.pointer(at: i), gate.pointer(at: i), up.pointer(at: i), dGate?.0.pointer(at: i),
        dUp?.0.pointer(at: i), range.count, dGate?.accumulate == true ? 1 : 0,
        dUp?.accumulate == true ? 1 : 0)
    }
  }
}
