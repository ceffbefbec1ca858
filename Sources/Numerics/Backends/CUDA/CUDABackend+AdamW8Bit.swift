extension CUDABackend {
  package func adamW8Bit(
    value: Tensor, gradient: Tensor, moment1: QuantizedMoment, moment2: QuantizedMoment,
    _ step: AdamWStep, gradientScale: Tensor?, rounding: UInt64
  ) {
    precondition(gradient.dtype == .f32, "adamW8Bit: gradient in \(gradient.dtype)")
    value.storage.conversion = nil
    guard value.count > 0 else { return }
    // Each block of threads makes the maps first, so there are no more than are resident.
    let blocks = min(moment1.scales.count.groups(of: 8), multiprocessors * 8)
    launch(
      "adamw_8bit", in: .adamW8Bit, value.dtype, grid: (blocks, 1, 1), block: 256, .tensor(value),
      .tensor(gradient), .tensor(moment1.codes), .tensor(moment1.scales), .tensor(moment2.codes),
      .tensor(moment2.scales), .long(value.count), .float(step.beta1), .float(1 - step.beta1),
      .float(step.beta2), .float(1 - step.beta2),
      .float(1 - step.learningRate * step.weightDecay),
      .float(step.learningRate / step.correction1),
      .float(1 / step.correction2.squareRoot()), .float(step.epsilon),
      .tensor(gradientScale.map(floats)), .long(Int(bitPattern: UInt(rounding))),
      .int(Int(Int32(bitPattern: UInt32(step.step)))))
  }
}
