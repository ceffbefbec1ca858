import Models
import Numerics
import Training

/// One optimizer step after another: forward, backward, clip, AdamW.
final class StepTrainer {
  private let model: LanguageModel
  private let checkpointing: Bool
  private let context: Context
  private let optimizer: any Optimizer
  private let entries: [ParameterSelection.Entry]
  private var steps = 0

  /// - Parameter isSmall: Keeps moments in 8 bits.
  init(
    _ model: LanguageModel, isSmall: Bool = false, checkpointing: Bool = false,
    in context: Context
  ) {
    self.model = model
    self.checkpointing = checkpointing
    self.context = context
    var settings = AdamWSettings()
    settings.beta2 = 0.999
    settings.weightDecay = 0.01
    optimizer = isSmall ? AdamW8Bit(settings) : AdamW(settings)
    for parameter in model.parameters { parameter.isTrainable = true }
    entries = model.parameters.map { .init(parameter: $0, learningRate: 1e-4) }
  }

  /// One step over micro-batches of token ids. Returns the last one's loss without waiting for it.
  @discardableResult
  func step(_ batches: [[Int32]], _ layout: SequenceLayout) -> Tensor {
    steps += 1
    var loss = context.zeros([])
    for ids in batches {
      let tokens = context.tensor(ids, [ids.count])
      let weights = [Float](
        repeating: 1 / Float(ids.count * batches.count), count: ids.count)
      loss = context.recording {
        let output = model(tokens, layout: layout, checkpointing: checkpointing, in: context)
        return context.linearCrossEntropy(
          output.hidden_TD, weight: model.head.tensor, targets: tokens,
          lossWeights: context.tensor(weights, [ids.count])
        ).total
      }
    }
    let gradients = model.parameters.compactMap(\.gradient)
    let scale = context.clipFactor(norm: context.globalNorm(gradients), maximum: 1)
    optimizer.step(steps, entries, rateFactor: 1, gradientScale: scale, in: context)
    return loss
  }
}
