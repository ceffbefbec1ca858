/// A product of two thin matrices that is added to the weight of a linear map: `scale · up · down` (Hu
/// et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685).
public struct LowRankMap {
  /// What rows are multiplied with first, `[R, I]`.
  public var down_RI: Tensor
  /// What the result is multiplied with, `[O, R]`.
  public var up_OR: Tensor
  /// Factor of the product.
  public var scale: Double

  /// A product from its parts.
  public init(down_RI: Tensor, up_OR: Tensor, scale: Double) {
    self.down_RI = down_RI
    self.up_OR = up_OR
    self.scale = scale
  }
}

extension Context {
  /// `y + scale · (x · downᵀ) · upᵀ`.
  ///
  /// - Parameters:
  ///   - x_TI: Input rows, `[T, I]`.
  ///   - y_TO: What the map itself makes of them, `[T, O]`, of the type of `x_TI` or its statistic type.
  func add(_ map: LowRankMap, of x_TI: Tensor, to y_TO: Tensor) -> Tensor {
    let narrow_TR = linear(x_TI, weight: map.down_RI)
    return add(y_TO, linear(narrow_TR, weight: map.up_OR, scaledBy: map.scale, as: y_TO.dtype))
  }

  /// Adds `scale · up · down` to the values of a weight `[O, I]`, in place; no gradient flows. A 16-bit
  /// weight is rounded once, to the nearest.
  public func merge(_ map: LowRankMap, into weight_OI: Tensor) {
    precondition(
      weight_OI.shape == [map.up_OR.shape[0], map.down_RI.shape[1]],
      "merge: \(map.up_OR.shape) · \(map.down_RI.shape) into \(weight_OI.shape)")
    let sum = empty(weight_OI.shape, weight_OI.dtype.statistic)
    backend.matmul(
      map.up_OR, transposeA: false, map.down_RI, transposeB: false, alpha: map.scale, into: sum,
      accumulate: false)
    backend.add(sum, cast(weight_OI, to: sum.dtype), into: sum)
    backend.copy(cast(sum, to: weight_OI.dtype), into: weight_OI)
  }
}
