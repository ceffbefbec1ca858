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

  /// A token drawn for scores `[V]`, at a temperature above 0.
  public mutating func next(_ scores: [Float]) -> Int32 {
    precondition(temperature > 0, "the best token is found by the generator")
    var best = 0
    for index in scores.indices where scores[index] > scores[best] { best = index }
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
