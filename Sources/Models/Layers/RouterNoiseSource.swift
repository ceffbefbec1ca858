import Glibc
import Numerics

/// Noise that keeps routers exploring while they train: a function of its seed, so that a block whose
/// activations are recomputed routes as it did.
public struct RouterNoiseSource: Sendable, Equatable {
  /// Seed of the values; one for each router, step and micro-batch.
  public var seed: UInt64
  /// The standard deviation, or what is added to it where the router has learned sizes.
  public var size: Double

  /// A source from its seed and size.
  public init(seed: UInt64, size: Double) {
    self.seed = seed
    self.size = size
  }

  /// Standard normal values (Box and Muller).
  func values(_ shape: [Int], _ dtype: DType, in context: Context) -> Tensor {
    var random = RandomStream(seed: seed, purpose: 0x401e)
    let count = shape.reduce(1, *)
    var values: [Double] = []
    values.reserveCapacity(count + 1)
    while values.count < count {
      let radius = (-2 * log(1 - random.uniform())).squareRoot()
      let angle = 2 * Double.pi * random.uniform()
      values.append(radius * cos(angle))
      values.append(radius * sin(angle))
    }
    return context.tensor(Array(values.prefix(count)), shape, dtype)
  }
}
