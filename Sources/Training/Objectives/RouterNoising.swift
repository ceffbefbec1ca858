import Models
import Numerics

/// What makes routers try experts near the top while they train: noise on the scores of those of MLPs
/// (Shazeer et al. 2017), and random factors of what every router sees (Fedus et al. 2021). Functions of
/// the seed, the step and the sequence: a resumed stage draws what it would have drawn.
struct RouterNoising {
  /// The standard deviation of the noise; 0 for none.
  let size: Double
  /// How far from one the factors are at most; 0 for none.
  let jitter: Double
  /// Of all values.
  let seed: UInt64

  /// Gives each router its noise and its factors for a micro-batch.
  /// - Parameter sequence: The first sequence of the micro-batch within its step.
  func set(_ model: LanguageModel, step: Int, sequence: Int) {
    guard size > 0 || jitter > 0 else { return }
    for routed in model.routers {
      let part: UInt64 = routed.part == .mlp ? 0 : 1 << 63
      let place = UInt64(step) << 32 | UInt64(sequence) << 12 | UInt64(routed.layer)
      var random = RandomStream(seed: seed, purpose: place | part)
      let (noiseSeed, jitterSeed) = (random.next(), random.next())
      if size > 0, routed.part == .mlp {
        routed.router.noise = RouterNoiseSource(seed: noiseSeed, size: size)
      }
      if jitter > 0 { routed.router.jitter = RouterJitter(seed: jitterSeed, size: jitter) }
    }
  }

  /// Takes noise and factors away.
  func clear(_ model: LanguageModel) {
    guard size > 0 || jitter > 0 else { return }
    for routed in model.routers {
      routed.router.noise = nil
      routed.router.jitter = nil
    }
  }
}
