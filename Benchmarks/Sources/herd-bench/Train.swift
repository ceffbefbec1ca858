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
    let trainer = StepTrainer(model, in: context)
    let layout = SequenceLayout(documentLengths: [256, 256, 256, 256], in: context)
    var random = RandomStream(seed: 2)
    var times: [Double] = []
    for _ in 0...steps {
      let ids = (0..<1024).map { _ in Int32.random(in: 0..<8192, using: &random) }
      times.append(timed { _ = context.readScalar(trainer.step([ids], layout)) })
    }
    let time = median(Array(times.dropFirst()))
    report(mixture ? "train-mixture" : "train-dense", ["tokens_per_second": 1024 / time])
  }
}
