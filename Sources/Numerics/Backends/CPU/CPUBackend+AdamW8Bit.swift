import CKernels

extension CPUBackend {
  package func adamW8Bit(
    value: Tensor, gradient: Tensor, moment1: QuantizedMoment, moment2: QuantizedMoment,
    _ step: AdamWStep, gradientScale: Tensor?, rounding: UInt64
  ) {
    let kernel = kernels(gradient.dtype).adamw_8bit
    let rates = rates(step, gradientScale)
    let (block, count) = (QuantizedMoment.blockSize, value.count)
    DynamicMap.signed.magnitudes.withUnsafeBufferPointer { signed in
      DynamicMap.unsigned.magnitudes.withUnsafeBufferPointer { unsigned in
        let settings = hk_adamw_8bit(
          rates: rates, with_sign: signed.baseAddress, without_sign: unsigned.baseAddress,
          key: rounding, step: UInt32(step.step), value_is_bf16: value.dtype == .bf16 ? 1 : 0)
        withUnsafePointer(to: settings) { settings in
          pool.forRanges(moment1.scales.count, minimum: parallelGrain / block) { blocks in
            let first = blocks.lowerBound * block
            kernel?(
              value.pointer(at: first), gradient.pointer(at: first), moment1.codes.bytes + first,
              moment1.scales.pointer(at: blocks.lowerBound).assumingMemoryBound(to: Float.self),
              moment2.codes.bytes + first,
              moment2.scales.pointer(at: blocks.lowerBound).assumingMemoryBound(to: Float.self),
              first, min(count, blocks.upperBound * block) - first, settings)
          }
        }
      }
    }
  }
}
