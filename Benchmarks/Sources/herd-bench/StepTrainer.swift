import Models
import Numerics

/// One optimizer step after another: forward, backward, clip, AdamW.
final class StepTrainer {
  private let model: LanguageModel
  private let context: Context
  private let moments: [(Tensor, Tensor)]
  private var steps = 0

  init(_ model: LanguageModel, in context: Context) {
    self.model = model
    self.context = context
    moments = model.parameters.map {
      (context.zeros($0.value.shape), context.zeros($0.value.shape))
    }
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
        let output = model(tokens, layout: layout, in: context)
        return context.linearCrossEntropy(
          output.hidden_TD, weight: model.head.tensor, targets: tokens,
          lossWeights: context.tensor(weights, [ids.count])
        ).total
      }
    }
    let gradients = model.parameters.compactMap(\.gradient)
    let scale = context.clipFactor(norm: context.globalNorm(gradients), maximum: 1)
    for (parameter, moment) in zip(model.parameters, moments) {
      guard let gradient = parameter.gradient else { continue }
      context.adamW(
        value: parameter.value, gradient: gradient, moment1: moment.0, moment2: moment.1,
        step: steps, learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
        weightDecay: 0.01, gradientScale: scale)
      parameter.gradient = nil
    }
    return loss
  }
}
