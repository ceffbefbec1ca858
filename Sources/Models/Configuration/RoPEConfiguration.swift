import Glibc

/// Rotary position embedding (Su et al. 2021) and its context extensions.
public struct RoPEConfiguration: Sendable, Equatable {
  /// Stretching of the frequencies.
  public enum Scaling: Sendable, Equatable {
    /// Plain frequencies.
    case none
    /// All positions divided by `factor`.
    case linear(factor: Double)
    /// LLaMA-3.1: low frequencies divided by `factor`, high ones kept, a ramp between.
    case llama3(factor: Double, lowFactor: Double, highFactor: Double, originalPositions: Int)
  }

  /// Base of the geometric series of wavelengths.
  public var theta: Double
  /// The stretching in use.
  public var scaling: Scaling

  /// Rotary positions with base `theta`.
  public init(theta: Double, scaling: Scaling = .none) {
    self.theta = theta
    self.scaling = scaling
  }

  /// The angle per position of each pair of channels, `[headDimension / 2]`.
  public func inverseFrequencies(headDimension: Int) -> [Double] {
    let plain = stride(from: 0, to: headDimension, by: 2).map {
      1 / pow(theta, Double($0) / Double(headDimension))
    }
    switch scaling {
    case .none: return plain
    case .linear(let factor): return plain.map { $0 / factor }
    case .llama3(let factor, let lowFactor, let highFactor, let originalPositions):
      return plain.map { frequency in
        let turns = Double(originalPositions) * frequency / (2 * Double.pi)
        if turns > highFactor { return frequency }
        if turns < lowFactor { return frequency / factor }
        let keep = (turns - lowFactor) / (highFactor - lowFactor)
        return (1 - keep) * frequency / factor + keep * frequency
      }
    }
  }
}
