/// Kernels of the optimizer with 8-bit moments.
package protocol AdamW8BitKernels {
  /// One step, in place on `value` and both moments. `value` has the gradient's type, or is `bf16`
  /// and then rounded stochastically by `rounding`.
  func adamW8Bit(
    value: Tensor, gradient: Tensor, moment1: QuantizedMoment, moment2: QuantizedMoment,
    _ step: AdamWStep, gradientScale: Tensor?, rounding: UInt64)
}

/// A moment in 8 bits an element: codes of a dynamic map, and for every block of 256 consecutive
/// elements the largest absolute value in it, by which the block is divided.
public struct QuantizedMoment: Sendable {
  /// Elements that share a scale.
  public static let blockSize = 256

  /// One code per element, `[n]` `u8`.
  public let codes: Tensor
  /// One scale per block, `[⌈n / 256⌉]` `f32`; 0 for a block of zeros, whatever its codes.
  public let scales: Tensor

  /// A moment from its parts.
  public init(codes: Tensor, scales: Tensor) {
    precondition(codes.dtype == .u8 && scales.dtype == .f32)
    precondition(scales.count == Self.scaleCount(codes.count), "\(scales.count) scales")
    self.codes = codes
    self.scales = scales
  }

  /// Scales that `count` elements have.
  public static func scaleCount(_ count: Int) -> Int { (count + blockSize - 1) / blockSize }
}

extension Context {
  /// One AdamW step with block-wise 8-bit moments (Dettmers et al. 2022, "8-bit Optimizers via
  /// Block-wise Quantization"), in place: both moments are dequantised, moved as in ``adamW``, used
  /// in full precision for the value's step, and quantised again to the nearest code.
  ///
  /// One thing is added: a second moment above zero never becomes zero, as a first moment over
  /// `√0 + ε` would be a leap.
  ///
  /// A `bf16` value is rounded up or down at random, with the odds that make the mean exact, so that
  /// steps far below its resolution add up and no copy in `f32` is needed. The random bits are those
  /// of Philox4x32-10 (Salmon et al. 2011) with `rounding` as the key and the step and element as
  /// the counter: they depend on nothing else.
  ///
  /// - Parameters:
  ///   - value: The parameter, of the gradient's type or `bf16`.
  ///   - gradient: Its gradient, `f32` (or `f64`).
  ///   - moment1: Its first moment under the map with sign; scales are 0 before step 1.
  ///   - moment2: Its second moment under the map without.
  ///   - step: Counts from 1.
  ///   - gradientScale: A scalar the gradient is multiplied with, such as a clip factor.
  ///   - rounding: Stands for the seed and the parameter in the random bits.
  public func adamW8Bit(
    value: Tensor, gradient: Tensor, moment1: QuantizedMoment, moment2: QuantizedMoment, step: Int,
    learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double,
    gradientScale: Tensor? = nil, rounding: UInt64
  ) {
    precondition(step >= 1 && step <= Int(UInt32.max), "adamW8Bit: step \(step)")
    precondition(
      gradient.dtype.isReal && (value.dtype == gradient.dtype || value.dtype == .bf16),
      "adamW8Bit: \(value.dtype) with gradients in \(gradient.dtype)")
    for count in [gradient.count, moment1.codes.count, moment2.codes.count] {
      precondition(count == value.count, "adamW8Bit: \(count) for \(value.count) elements")
    }
    backend.adamW8Bit(
      value: value, gradient: gradient, moment1: moment1, moment2: moment2,
      AdamWStep(
        step: step, learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon,
        weightDecay: weightDecay),
      gradientScale: gradientScale, rounding: rounding)
  }

  /// The values of a first moment. Waits for pending work.
  package func readSigned(_ moment: QuantizedMoment) -> [Float] { read(moment, .signed) }

  /// The values of a second moment. Waits for pending work.
  package func readUnsigned(_ moment: QuantizedMoment) -> [Float] { read(moment, .unsigned) }

  private func read(_ moment: QuantizedMoment, _ map: DynamicMap) -> [Float] {
    let (codes, scales) = (read(moment.codes), read(moment.scales))
    return codes.indices.map { map[UInt8(codes[$0])] * scales[$0 / QuantizedMoment.blockSize] }
  }
}
