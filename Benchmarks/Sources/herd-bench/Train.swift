import ArgumentParser
import Models
import Numerics

/// One optimizer step of the training benchmark: forward, backward, clip, AdamW.
struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Training step, 29.4 M parameters, 4 × 256 tokens, AdamW, f32.")
  @Flag var mixture = false
  @Option var steps = 7

  func run() throws {
    let context = try Context()
    let model = try Shapes.model(Shapes.training(mixture: mixture), .f32, in: context)
    for parameter in model.parameters { parameter.isTrainable = true }
    let moments = model.parameters.map {
      (context.zeros($0.value.shape), context.zeros($0.value.shape))
    }
    let layout = SequenceLayout(documentLengths: [256, 256, 256, 256], in: context)
    var random = RandomStream(seed: 2)
    var times: [Double] = []
    for step in 0...steps {
      let ids = (0..<1024).map { _ in Int32.random(in: 0..<8192, using: &random) }
      times.append(
        timed {
          let tokens = context.tensor(ids, [1024])
          let loss = context.recording {
            let output = model(tokens, layout: layout, in: context)
            return context.linearCrossEntropy(
              output.hidden_TD, weight: model.head.tensor, targets: tokens,
              lossWeights: context.tensor([Float](repeating: 1.0 / 1024, count: 1024), [1024])
            ).total
          }
          let gradients = model.parameters.compactMap(\.gradient)
          let scale = context.clipFactor(norm: context.globalNorm(gradients), maximum: 1)
          for (parameter, moment) in zip(model.parameters, moments) {
            guard let gradient = parameter.gradient else { continue }
            context.adamW(
              value: parameter.value, gradient: gradient, moment1: moment.0, moment2: moment.1,
              step: step + 1, learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-8,
              weightDecay: 0.01, gradientScale: scale)
            parameter.gradient = nil
          }
          _ = context.readScalar(loss)
        })
    }
    let time = median(Array(times.dropFirst()))
    report(mixture ? "train-mixture" : "train-dense", ["tokens_per_second": 1024 / time])
  }
}
