import Numerics

/// The inputs one layer's MLP sees on the calibration tokens, batch by batch.
///
/// A stream can be read as often as a strategy and a router declare passes; each time it gives the
/// same batches in the same order.
public protocol LayerInputs {
  /// Tokens in all batches together.
  var tokens: Int { get }
  /// Which tokens belong together, in the batches' order.
  var segments: [CalibrationSegment] { get }
  /// Calls `body` with each batch, `[T, D]` in `f32`: the normalised residual stream that enters
  /// the gate and up projections.
  func forEachBatch(_ body: (_ x_TD: Tensor) throws -> Void) throws
}

extension LayerInputs {
  public var segments: [CalibrationSegment] { [CalibrationSegment(tokens: tokens)] }
}

/// Inputs that are already in memory.
public struct RecordedInputs: LayerInputs {
  /// All tokens, `[T, D]`.
  public let x_TD: Tensor
  /// Tokens per batch.
  public let batch: Int

  /// Inputs `[T, D]`, streamed `batch` tokens at a time.
  public init(_ x_TD: Tensor, batch: Int = 1024) {
    self.x_TD = x_TD
    self.batch = batch
  }

  public var tokens: Int { x_TD.rows }

  public func forEachBatch(_ body: (_ x_TD: Tensor) throws -> Void) throws {
    for start in stride(from: 0, to: tokens, by: batch) {
      try body(x_TD.slice(start..<min(tokens, start + batch)))
    }
  }
}
