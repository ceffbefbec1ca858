/// Kernels that do several operations at once for a few tokens, where launching and waiting would
/// cost more than the arithmetic. A device without them runs the operations one by one.
package typealias FusedKernels = FusedLinearKernels & FusedAttentionInputKernels
  & FusedMixtureKernels

/// The gain and the ε of an RMSNorm.
public struct RMSNorm {
  /// Gain per channel, `[D]`.
  public var weight_D: Tensor
  /// Added to the mean of squares.
  public var epsilon: Double

  /// A norm from its parts.
  public init(weight_D: Tensor, epsilon: Double) {
    self.weight_D = weight_D
    self.epsilon = epsilon
  }
}

/// A linear map: weight `[O, I]` and optional bias `[O]`.
public struct LinearMap {
  /// `[O, I]`, `f32`, `f64`, or 16-bit for inference.
  public var weight_OI: Tensor
  /// `[O]`.
  public var bias_O: Tensor?
  /// What is added to the weight.
  public var addition: LowRankMap?

  /// A map from its parts.
  public init(weight_OI: Tensor, bias_O: Tensor? = nil, addition: LowRankMap? = nil) {
    self.weight_OI = weight_OI
    self.bias_O = bias_O
    self.addition = addition
  }
}

extension Context {
  /// The most rows fused kernels take.
  private static let fusedRows = 8

  /// The device's fused kernels, if it has any, for rows `x_TD` of which nothing is recorded.
  ///
  /// - Parameter maps: What they are to multiply with; none of them knows additions.
  func fusedKernels(for x_TD: Tensor, _ maps: LinearMap...) -> (any FusedKernels)? {
    guard maps.allSatisfy({ $0.addition == nil }) else { return nil }
    guard tape == nil, touchedSlots == nil, (1...Self.fusedRows).contains(x_TD.rows) else {
      return nil
    }
    return backend.fused
  }

  /// ``rmsNorm(_:weight:epsilon:)`` by `norm`.
  public func rmsNorm(_ x_TD: Tensor, _ norm: RMSNorm) -> Tensor {
    rmsNorm(x_TD, weight: norm.weight_D, epsilon: norm.epsilon)
  }

  /// ``linear(_:weight:bias:scaledBy:as:)`` by `map`.
  public func linear(_ x_TI: Tensor, _ map: LinearMap, as type: DType? = nil) -> Tensor {
    let y_TO = linear(x_TI, weight: map.weight_OI, bias: map.bias_O, as: type)
    return map.addition.map { add($0, of: x_TI, to: y_TO) } ?? y_TO
  }
}
