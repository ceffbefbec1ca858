import Data
import Glibc
import Models
import Numerics

/// How the weights of a new model begin.
public enum InitialWeights: String, CaseIterable, Sendable {
  /// Normal of deviation 0.02, narrower by √(2·layers) where they feed the residual stream (GPT-2's
  /// rule).
  case normal
  /// As ``normal``, but projections of token mixers uniform by Glorot's rule with a gain of 2^(-2.5):
  /// what flash-linear-attention gave its layers.
  case fla
  /// As xmixers trained cosFormer2 and TNL: projections of token mixers uniform by Glorot's rule with a
  /// gain of 0.01, their output projections 0; all else normal of deviation 0.02, cut at three.
  case xmixers

  /// The first values of a parameter. Gains are 1 everywhere, as are TPE's queries and keys; angles of
  /// LRPE are one geometric ladder over all heads; lower bounds start equal, l/L in layer l, and learned
  /// decays, selection biases and the like at 0. Rates of a decay per element are 1, 2 and so on over the
  /// key channels of a head, times a step that is a geometric ladder from 0.001 to 0.1 over the value
  /// channels of all heads (S4D-Real, Gu et al. 2022, arXiv 2206.11893); where a layer has a map that
  /// gives the steps, they are in its bias instead.
  ///
  /// - Parameters:
  ///   - index: The parameter's place in the model, for random numbers of its own.
  ///   - shapes: Those of all parameters of the model.
  ///   - layers: Layers of the model.
  func values(of index: Int, in shapes: [ParameterShape], layers: Int, seed: UInt64) -> [Float] {
    let shape = shapes[index]
    let (name, count) = (shape.name, shape.shape.reduce(1, *))
    if name.hasSuffix(".lrpe.theta") {
      return (0..<count).map { Float(pow(10000, -2 * Double($0) / Double(count))) }
    }
    if name.hasSuffix(".log_rate") {
      let (heads, dim, width) = (shape.shape[0], shape.shape[1], shape.shape[2])
      let stepBias = "\(name.dropLast("log_rate".count))step_proj.bias"
      let hasSteps = shapes.contains { $0.name == stepBias }
      return (0..<count).map { place in
        let column = place / (dim * width) * width + place % width
        let step = hasSteps ? 1 : Self.step(column, of: heads * width)
        return Float(log(Double(place / width % dim + 1) * step))
      }
    }
    if name.hasSuffix(".step_proj.bias") {
      // The inverse of softplus.
      return (0..<count).map { Float(log(expm1(Self.step($0, of: count)))) }
    }
    if name == ParameterName.lowerBounds || name.hasSuffix(".decay") || name.hasSuffix("bias") {
      return [Float](repeating: 0, count: count)
    }
    let isVector = shape.shape.count == 1
    let encodesPositions = name.hasPrefix(ParameterName.positionEncoding)
    if name.hasSuffix("norm.weight") || (encodesPositions && isVector) {
      return [Float](repeating: 1, count: count)
    }
    var random = RandomStream(seed: seed, purpose: 0x1000 + UInt64(index))
    let isMixer = encodesPositions || name.contains(".self_attn.")
    if let gain, isMixer, shape.shape.count == 2 {
      if self == .xmixers, name.hasSuffix(".o_proj.weight") {
        return [Float](repeating: 0, count: count)
      }
      let bound = Float(gain * (6 / Double(shape.shape[0] + shape.shape[1])).squareRoot())
      return random.uniform(count, in: -bound...bound)
    }
    let feedsResidual = name.contains("o_proj") || name.contains("down_proj")
    let isNarrow = feedsResidual && self != .xmixers
    let deviation = isNarrow ? 0.02 / Double(2 * layers).squareRoot() : 0.02
    return (0..<count).map { _ in
      var value = random.normal()
      while self == .xmixers, abs(value) > 3 { value = random.normal() }
      return Float(deviation * value)
    }
  }

  /// The step of value channel `column` of `count`.
  private static func step(_ column: Int, of count: Int) -> Double {
    0.001 * pow(100, Double(column) / Double(max(1, count - 1)))
  }

  /// The gain of Glorot's rule for the projections of token mixers.
  private var gain: Double? {
    switch self {
    case .normal: nil
    case .fla: exp2(-2.5)
    case .xmixers: 0.01
    }
  }
}

extension RandomStream {
  /// Standard normal, by Box and Muller's transform.
  fileprivate mutating func normal() -> Double {
    // 1 - u keeps the logarithm's argument positive.
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * .pi * uniform())
  }
}
