import Data
import Numerics

/// Some sequences of a step on the device: one forward and backward pass.
public struct MicroBatch {
  /// Token ids, `[T]` `i32`.
  public let tokens_T: Tensor
  /// The token after each, `[T]` `i32`.
  public let targets_T: Tensor
  /// Weight of each token in the step's loss, `[T]`; the weights of a step add up to one.
  public let lossWeights_T: Tensor
  /// Documents and positions.
  public let layout: SequenceLayout
  /// This pass's share of the step's tokens.
  public let share: Double

  /// Uploads a batch.
  ///
  /// - Parameters:
  ///   - lossTokens: Sum of the loss weights of the whole step.
  ///   - share: This batch's share of the step's tokens.
  ///   - dtype: The type activations are computed in.
  public init(
    _ batch: Batch, lossTokens: Double, share: Double, dtype: DType = .f32, in context: Context
  ) {
    let count = batch.tokens.count
    tokens_T = context.tensor(batch.tokens, [count])
    targets_T = context.tensor(batch.targets, [count])
    // A step without loss tokens has weights of zero, whatever they are divided by.
    let scale = lossTokens > 0 ? 1 / lossTokens : 0
    lossWeights_T = context.tensor(batch.lossWeights.map { Double($0) * scale }, [count], dtype)
    layout = SequenceLayout(
      positions_T: context.tensor(batch.positions, [count]),
      documentStarts_T: context.tensor(batch.documentStarts, [count]))
    self.share = share
  }
}
