import Formats
import Numerics

/// A tensor that a linearised model has and its source has not.
public struct NewParameter: Sendable, Equatable {
  /// What its elements are at first.
  public enum Values: Sendable, Equatable {
    /// Ones: a norm that changes nothing but the length.
    case ones
    /// Normal numbers of mean 0 and this deviation, drawn from the seed.
    case normal(deviation: Double)
  }

  /// The tensor.
  public var tensor: TensorDeclaration
  /// Its elements.
  public var values: Values

  /// The deviation of new gates: small, so that each begins near one half.
  static let gateDeviation = 0.02

  /// The elements as they are stored, the same on every machine.
  /// - Parameter body: Gets the bytes.
  func withBytes<Result>(
    seed: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    let count = tensor.shape.reduce(1, *)
    // The name tells the streams of two tensors apart, whatever else is in the model.
    let purpose = tensor.name.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01b3
    }
    var random = RandomStream(seed: seed, purpose: purpose)
    let floats: [Float] =
      switch values {
      case .ones: [Float](repeating: 1, count: count)
      case .normal(let deviation):
        (0..<count).map { _ in Float(deviation * random.standardNormal()) }
      }
    let buffer = ByteBuffer(count * tensor.elementType.bitWidth / 8)
    let bytes = buffer.slice(0..<count * tensor.elementType.bitWidth / 8)
    floats.withUnsafeBufferPointer {
      StoredElements.narrow($0, to: tensor.elementType, into: bytes)
    }
    return try body(UnsafeRawBufferPointer(bytes))
  }
}
