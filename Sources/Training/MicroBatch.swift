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
  /// Weight of each token where every token of the text counts alike, `[T]`; those of a step add up
  /// to one.
  public let textWeights_T: Tensor
  /// Documents and positions.
  public let layout: SequenceLayout
  /// This pass's share of the step's tokens.
  public let share: Double

  /// Uploads a batch.
  ///
  /// - Parameters:
  ///   - lossTokens: Sum of the loss weights of the whole step.
  ///   - textTokens: Tokens of the whole step that a token of the same text follows.
  ///   - share: This batch's share of the step's tokens.
  ///   - dtype: The type activations are computed in.
  public init(
    _ batch: Batch, lossTokens: Double, textTokens: Double, share: Double, dtype: DType = .f32,
    in context: Context
  ) {
    let count = batch.tokens.count
    tokens_T = context.tensor(batch.tokens, [count])
    targets_T = context.tensor(batch.targets, [count])
    // A step without such tokens has weights of zero, whatever they are divided by.
    func shares(_ weights: [Float], of total: Double) -> Tensor {
      let scale = total > 0 ? 1 / total : 0
      return context.tensor(weights.map { Double($0) * scale }, [count], dtype)
    }
    lossWeights_T = shares(batch.lossWeights, of: lossTokens)
    textWeights_T = shares(batch.followedMask, of: textTokens)
    let offsets =
      batch.documentStarts.enumerated().filter { $0.offset == Int($0.element) }.map(\.element)
      + [Int32(count)]
    layout = SequenceLayout(
      positions_T: context.tensor(batch.positions, [count]),
      documentStarts_T: context.tensor(batch.documentStarts, [count]),
      documentOffsets: context.tensor(offsets, [offsets.count]))
    self.share = share
  }
}
