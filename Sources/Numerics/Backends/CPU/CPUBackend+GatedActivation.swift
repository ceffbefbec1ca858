import CKernels

extension CPUBackend {
  package func gatedForward(_ activation: Activation, gate: Tensor, up: Tensor?, into y: Tensor) {
    let kernel = kernels(gate.dtype).gated_forward
    pool.forRanges(gate.count, minimum: parallelGrain / 4) { range in
      let i = range.lowerBound
      kernel?(
        activation.kernel, gate.pointer(at: i), up?.pointer(at: i), y.pointer(at: i), range.count)
    }
  }

  package func gatedBackward(
    _ activation: Activation, _ dy: Tensor, gate: Tensor, up: Tensor?, dGate: Tensor?, dUp: Tensor?
  ) {
    let kernel = kernels(gate.dtype).gated_backward
    pool.forRanges(gate.count, minimum: parallelGrain / 4) { range in
      let i = range.lowerBound
      kernel?(
        activation.kernel, dy.pointer(at: i), gate.pointer(at: i), up?.pointer(at: i),
        dGate?.pointer(at: i), dUp?.pointer(at: i), range.count)
    }
  }
}

extension Activation {
  fileprivate var kernel: hk_activation {
    switch self {
    case .none: HK_IDENTITY
    case .silu: HK_SILU
    case .relu: HK_RELU
    case .sigmoid: HK_SIGMOID_GATE
    case .elu: HK_ELU
    case .onePlusELU: HK_ONE_PLUS_ELU
    case .squaredReLU: HK_SQUARED_RELU
    case .square: HK_SQUARE
    }
  }
}
