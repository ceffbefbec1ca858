import Data
import Models
import Numerics
import Training

/// Two domains of counting sequences: the first counts by one, the second by three.
struct ToyBatches: BatchSource {
  var domains = ["ones", "threes"]
  var length = 12
  var seed: UInt64 = 7
  /// Called before each draw; may throw to end a run in the middle of a step.
  var beforeDraw: (Int, Range<Int>) throws -> Void = { _, _ in }

  func batch(step: Int, sequences: Range<Int>) throws -> Batch {
    try beforeDraw(step, sequences)
    var batch = Batch(sequenceLength: length)
    for sequence in sequences {
      var random = RandomStream(seed: seed, purpose: UInt64(step << 16 | sequence))
      let domain = sequence % 2
      let first = Int(random.next() % UInt64(ToyModel.vocabulary))
      let ids = (0...length).map { Int32((first + $0 * (1 + 2 * domain)) % ToyModel.vocabulary) }
      let start = Int32(batch.tokens.count)
      batch.tokens += ids.dropLast()
      batch.targets += ids.dropFirst()
      // A different number of loss tokens per sequence, so that normalisation matters.
      batch.lossWeights += (0..<length).map { $0 < 1 + sequence % 4 ? 0 : 1 }
      batch.followedMask += repeatElement(1, count: length)
      batch.positions += 0..<Int32(length)
      batch.documentStarts += repeatElement(start, count: length)
      batch.domains.append(domain)
    }
    return batch
  }
}

/// A stage on the toy batches: `steps` steps of four sequences.
func toySettings(steps: Int = 8) -> StageSettings {
  var settings = StageSettings(
    name: "toy", data: [.init(file: "toy.jsonl")], tokens: steps * 4 * 12)
  settings.sequenceLength = 12
  settings.batchSequences = 4
  settings.microBatch = 4
  settings.learningRate = 1e-2
  settings.schedule.warmupSteps = 2
  settings.checkpointEvery = 0
  return settings
}

/// Runs a stage on the toy batches and returns the metrics of every step.
func train(
  _ settings: StageSettings, _ model: LanguageModel, teacher: LanguageModel? = nil,
  in context: Context
) throws -> [StepMetrics] {
  var metrics: [StepMetrics] = []
  var hooks = TrainingHooks()
  hooks.onStep = { metrics.append($0) }
  _ = try Trainer(
    settings, model: model, teacher: teacher, batches: ToyBatches(), hooks: hooks, in: context
  ).run()
  return metrics
}
