import Glibc
import Numerics

/// Chooses the next token from scores.
public struct Sampler {
  /// 0 takes the best token; 1 samples from the model's distribution.
  public let temperature: Double
  private var random: RandomStream

  /// A seeded sampler.
  public init(temperature: Double = 0, seed: UInt64 = 0) {
    self.temperature = temperature
    random = RandomStream(seed: seed, purpose: 0x5a)
  }

  /// The next token for scores `[V]`. Ties go to the lower id.
  public mutating func next(_ scores: [Float]) -> Int32 {
    var best = 0
    for index in scores.indices where scores[index] > scores[best] { best = index }
    guard temperature > 0 else { return Int32(best) }
    let top = Double(scores[best])
    let weights = scores.map { exp((Double($0) - top) / temperature) }
    var threshold = random.uniform() * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      threshold -= weight
      if threshold < 0 { return Int32(index) }
    }
    return Int32(best)
  }
}
