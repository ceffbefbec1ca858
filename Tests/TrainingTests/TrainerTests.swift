import Models
import Numerics
import Testing

@testable import Training

@Suite struct TrainerTests {
  @Test(arguments: [false, true])
  func theLossFallsOnAToyTask(mixture: Bool) throws {
    let context = try makeContext()
    let model = try ToyModel.make(mixture ? ToyModel.mixture() : nil, in: context)
    let metrics = try train(toySettings(steps: 60), model, in: context)
    #expect(metrics.count == 60)
    let (first, last) = (try #require(metrics.first), try #require(metrics.last))
    #expect(first.loss > 2)
    #expect(last.loss < 0.5, "\(last.loss)")
    #expect(model.parameters.allSatisfy { $0.gradient == nil })
  }

  @Test func accumulatedMicroBatchesEqualOneBatch() throws {
    let context = try makeContext()
    var results: [[String: [Float]]] = []
    var norms: [[Double]] = []
    for microBatch in [4, 1, 3] {
      let model = try ToyModel.make(dtype: .f64, in: context)
      var settings = toySettings(steps: 3)
      settings.microBatch = microBatch
      norms.append(try train(settings, model, in: context).map(\.gradientNorm))
      results.append(weights(model, in: context))
    }
    for (other, otherNorms) in zip(results, norms).dropFirst() {
      for (a, b) in zip(norms[0], otherNorms) { #expect(abs(a - b) < 1e-9 * a) }
      for (name, values) in results[0] {
        let difference = zip(values, other[name] ?? []).map { abs($0 - $1) }.max() ?? .infinity
        #expect(difference < 1e-6, "\(name)")
      }
    }
  }

  @Test func activationCheckpointingChangesNothing() throws {
    let context = try makeContext()
    var results: [[String: [Float]]] = []
    for checkpointing in [false, true] {
      let model = try ToyModel.make(ToyModel.mixture(), dtype: .f64, in: context)
      var settings = toySettings(steps: 3)
      settings.checkpointing = checkpointing
      settings.losses.loadBalance = 0.1
      _ = try train(settings, model, in: context)
      results.append(weights(model, in: context))
    }
    for (name, values) in results[0] {
      let difference = zip(values, results[1][name] ?? []).map { abs($0 - $1) }.max() ?? .infinity
      #expect(difference < 1e-6, "\(name)")
    }
  }

  @Test func metricsTellDomainsLoadsAndTerms() throws {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.mixture(), in: context)
    var settings = toySettings(steps: 2)
    settings.microBatch = 3
    settings.losses.routerZ = 1e-3
    let metrics = try #require(try train(settings, model, in: context).last)
    #expect(metrics.domains.map(\.domain) == ["ones", "threes"])
    // Sequences 0 and 2 leave out 1 and 3 tokens, 1 and 3 leave out 2 and 4.
    #expect(metrics.domains.map(\.tokens) == [20, 18])
    let mean =
      metrics.domains.reduce(0) { $0 + $1.loss * Double($1.tokens) } / 38
    #expect(abs(mean - (metrics.term("cross_entropy") ?? 0)) < 1e-6)
    let terms = metrics.terms.map(\.name)
    #expect(terms == ["cross_entropy", "load_balance", "router_z"])
    let total =
      mean + 0.01 * (metrics.term("load_balance") ?? 0) + 1e-3 * (metrics.term("router_z") ?? 0)
    #expect(abs(total - metrics.loss) < 1e-5)
    #expect(metrics.expertLoads.map(\.layer) == [0, 1])
    for load in metrics.expertLoads {
      #expect(load.counts.reduce(0, +) == 4 * 12 * 2)
      #expect(abs(load.shares.reduce(0, +) - 1) < 1e-12)
    }
    #expect(metrics.tokensPerSecond > 0)
    #expect(metrics.json["domains"]?["ones"]?.double == metrics.domains[0].loss)
    #expect(metrics.json["experts"]?.array?.first?["load"]?.array?.count == 4)
  }

  @Test func frozenParametersStayAndRateZeroMovesNothing() throws {
    let context = try makeContext()
    let model = try ToyModel.make(in: context)
    let before = weights(model, in: context)
    var settings = toySettings(steps: 2)
    settings.train = ["*.mlp.*", "lm_head.weight"]
    settings.groups = [.init(pattern: "lm_head.weight", learningRate: 0)]
    _ = try train(settings, model, in: context)
    let after = weights(model, in: context)
    for (name, values) in before {
      #expect((values == after[name]) == !name.contains(".mlp."), "\(name)")
    }
  }

  @Test func aLossThatIsNotFiniteEndsTheStage() throws {
    let context = try makeContext()
    let model = try ToyModel.make(in: context)
    model.head.value = context.tensor(
      [Float](repeating: .infinity, count: model.head.value.count), model.head.value.shape)
    let error = #expect(throws: TrainingError.self) {
      try train(toySettings(steps: 2), model, in: context)
    }
    #expect(error?.description.contains("at step 1; lower learning_rate") == true)
  }

  @Test func evaluationComesEveryNSteps() throws {
    let context = try makeContext()
    var settings = toySettings(steps: 7)
    settings.evaluateEvery = 3
    var evaluated: [Int] = []
    var hooks = TrainingHooks()
    hooks.onEvaluation = { step, _ in evaluated.append(step) }
    let summary = try Trainer(
      settings, model: ToyModel.make(in: context), batches: ToyBatches(), hooks: hooks,
      in: context
    ).run()
    #expect(evaluated == [3, 6])
    #expect(summary.steps == 7 && summary.resumedAt == nil && summary.last?.step == 7)
  }

  @Test func theNextStepIsDrawnBeforeThisOneIsRead() throws {
    final class Log {
      var lines: [String] = []
    }
    struct Empty: Error {}
    let (context, log) = (try makeContext(), Log())
    var batches = ToyBatches()
    batches.beforeDraw = { step, sequences in
      log.lines.append("draw \(step) \(sequences)")
      if step == 2 { throw Empty() }
    }
    var hooks = TrainingHooks()
    hooks.onStep = { log.lines.append("done \($0.step)") }
    // A step is told of even if there are no batches for the next.
    #expect(throws: Empty.self) {
      try Trainer(
        toySettings(steps: 3), model: ToyModel.make(in: context), batches: batches, hooks: hooks,
        in: context
      ).run()
    }
    #expect(
      log.lines == ["draw 0 0..<4", "draw 1 0..<4", "done 1", "draw 2 0..<4", "done 2"])
  }

  @Test func groupsShareAStepsSequencesOut() throws {
    struct Member: ProcessGroup {
      var rank: Int
      var size: Int
      func allReduce(_ tensors: [Tensor], in context: Context) {}
      func allReduce(_ values: inout [Double]) {}
    }
    let parts = (0..<3).map { Member(rank: $0, size: 3).sequences(of: 8) }
    #expect(parts.flatMap { Array($0) } == Array(0..<8))
    #expect(SingleProcess().sequences(of: 8) == 0..<8)
    let context = try makeContext()
    #expect(throws: TrainingError.self) {
      try Trainer(
        toySettings(), model: ToyModel.make(in: context), batches: ToyBatches(),
        group: Member(rank: 0, size: 5), in: context)
    }
  }
}
