import Models
import Numerics

/// Noise on the scores of MLP routers while they train, so that experts near the top are tried too
/// (Shazeer et al. 2017). A function of the seed, the step and the sequence: a resumed stage draws
/// what it would have drawn.
struct RouterNoising {
  /// The standard deviation; 0 for no noise.
  let size: Double
  /// Of all values.
  let seed: UInt64

  /// Gives each router of an MLP its noise for a micro-batch.
  /// - Parameter sequence: The first sequence of the micro-batch within its step.
  func set(_ model: LanguageModel, step: Int, sequence: Int) {
    guard size > 0 else { return }
    for routed in model.routers where routed.part == .mlp {
      let place = UInt64(step) << 32 | UInt64(sequence) << 12 | UInt64(routed.layer)
      var random = RandomStream(seed: seed, purpose: place)
      routed.router.noise = RouterNoiseSource(seed: random.next(), size: size)
    }
  }

  /// Takes the noise away.
  func clear(_ model: LanguageModel) {
    guard size > 0 else { return }
    for routed in model.routers { routed.router.noise = nil }
  }
}
