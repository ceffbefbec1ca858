import Formats
import Glibc
import Models
import Numerics
import TestSupport
import Testing

@testable import Training

@Suite struct ResumeTests {
  private struct Killed: Error {}

  /// The stage of these tests: 8 steps of two micro-batches, a checkpoint every 3.
  private func settings() -> StageSettings {
    var settings = toySettings(steps: 8)
    settings.microBatch = 2
    settings.checkpointEvery = 3
    settings.evaluateEvery = 4
    settings.losses.selectionBiasRate = 0.01
    settings.weightDecay = 0.1
    return settings
  }

  private func model(in context: Context) throws -> LanguageModel {
    try ToyModel.make(ToyModel.mixture(selectionBias: true), in: context)
  }

  /// A fresh process: new context, model from its seed, state from disk.
  private func process(
    _ folder: String, _ settings: StageSettings, batches: ToyBatches = ToyBatches(),
    hooks: TrainingHooks = TrainingHooks(), notes: (String) -> Void = { _ in }
  ) throws -> (weights: [String: [Float]], summary: Trainer.Summary) {
    try withoutActuallyEscaping(notes) { notes in
      let context = try makeContext()
      let model = try model(in: context)
      let store = CheckpointStore(
        folder: "\(folder)/checkpoint", settings: settings.json, note: notes)
      let summary = try Trainer(
        settings, model: model, batches: batches, store: store, hooks: hooks, in: context
      ).run()
      return (weights(model, in: context), summary)
    }
  }

  /// Stopped by its hook after every second step, also between checkpoints, and gone on with.
  @Test func aStageThatIsStoppedOnPurposeEndsWithTheSameBits() throws {
    let folder = TemporaryFolder()
    var ends: [Int?] = []
    var last: (weights: [String: [Float]], summary: Trainer.Summary)?
    repeat {
      var steps = 0
      var hooks = TrainingHooks()
      hooks.onStep = { _ in steps += 1 }
      hooks.stopsEarly = { steps == 2 }
      last = try process(folder.path, settings(), hooks: hooks)
      ends.append(last?.summary.stoppedAt)
    } while last?.summary.stoppedAt != nil && ends.count < 9
    #expect(ends == [2, 4, 6, nil])
    #expect(last?.summary.resumedAt == 6)
    #expect(try last?.weights == uninterrupted())
  }

  private func uninterrupted() throws -> [String: [Float]] {
    let context = try makeContext()
    let model = try model(in: context)
    _ = try Trainer(settings(), model: model, batches: ToyBatches(), in: context).run()
    return weights(model, in: context)
  }

  private final class Notes {
    var lines: [String] = []
    func append(_ line: String) { lines.append(line) }
  }

  /// Where a run is ended.
  enum KillPoint: Sendable {
    case afterStep(Int)
    case beforeMicroBatch(step: Int, sequence: Int)
    case inEvaluation(Int)
  }

  private func kill(_ folder: String, at point: KillPoint) {
    var batches = ToyBatches()
    var hooks = TrainingHooks()
    switch point {
    case .afterStep(let step): hooks.onStep = { if $0.step == step { throw Killed() } }
    case .inEvaluation(let step):
      hooks.onEvaluation = { if $0 == step || $1.blocks.isEmpty { throw Killed() } }
    case .beforeMicroBatch(let step, let sequence):
      batches.beforeDraw = { if $0 == step && $1.lowerBound == sequence { throw Killed() } }
    }
    #expect(throws: Killed.self) {
      try process(folder, settings(), batches: batches, hooks: hooks)
    }
  }

  @Test(arguments: [
    [KillPoint.afterStep(1)], [.afterStep(3)], [.afterStep(8)], [.inEvaluation(4)],
    [.beforeMicroBatch(step: 3, sequence: 2)],
    [.afterStep(2), .afterStep(4), .beforeMicroBatch(step: 7, sequence: 2)],
  ])
  func aKilledRunEndsWithTheSameBits(_ points: [KillPoint]) throws {
    let folder = TemporaryFolder()
    for point in points { kill(folder.path, at: point) }
    var resumed: [Int] = []
    var hooks = TrainingHooks()
    hooks.onResume = { resumed.append($0) }
    let end = try process(folder.path, settings(), hooks: hooks)
    #expect(end.weights == (try uninterrupted()))
    #expect(end.summary.resumedAt == resumed.first)
    #expect(end.summary.last?.step == 8)
  }

  @Test func aFinishedStageHasNothingLeftToDo() throws {
    let folder = TemporaryFolder()
    let first = try process(folder.path, settings())
    let again = try process(folder.path, settings())
    #expect(again.weights == first.weights)
    #expect(again.summary.resumedAt == 8 && again.summary.last == nil)
  }

  @Test func aTornCheckpointIsIgnoredAndTheOneBeforeUsed() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(7))
    let newest = "\(folder.path)/checkpoint/step-6/model.safetensors"
    let bytes = try Files.read(newest)
    for damage in [Array(bytes.dropLast(5)), bytes.dropLast() + [bytes.last.map { ~$0 } ?? 0]] {
      try Files.write(damage, to: newest)
      var notes: [String] = []
      var resumed: [Int] = []
      var hooks = TrainingHooks()
      hooks.onResume = {
        resumed.append($0)
        throw Killed()
      }
      #expect(throws: Killed.self) {
        try process(folder.path, settings(), hooks: hooks, notes: { notes.append($0) })
      }
      #expect(resumed == [3])
      #expect(notes.count == 1 && notes[0].contains("step-6 is not a whole checkpoint"))
    }
    let end = try process(folder.path, settings())
    #expect(end.weights == (try uninterrupted()))
  }

  @Test func anUnreadableCheckpointIsNotPassedOver() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(7))
    let state = "\(folder.path)/checkpoint/step-6/\(CheckpointStore.stateFile)"
    try Files.remove(state)
    // A link to itself: the system refuses to open it, which says nothing about the bytes.
    #expect(symlink(state, state) == 0)
    let error = #expect(throws: TrainingError.self) { try process(folder.path, settings()) }
    #expect(error?.description.contains("step-6 is lost, remove it") == true)
    #expect(
      try Files.names(inFolder: "\(folder.path)/checkpoint") == ["step-3", "step-6"])
  }

  @Test func aCheckpointOfAnotherVersionIsNotPassedOver() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(7))
    let path = "\(folder.path)/checkpoint/step-6/\(CheckpointStore.stateFile)"
    var state = try ConfigurationFile(contentsOf: path).object
    state["version"] = 99
    try Files.write(JSON.object(state).serialized(), to: path)
    let error = #expect(throws: TrainingError.self) { try process(folder.path, settings()) }
    #expect(error?.description.contains("another version of herd (format 99)") == true)
  }

  @Test func anotherEnvironmentIsTold() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(4))
    let notes = Notes()
    let store = CheckpointStore(
      folder: "\(folder.path)/checkpoint", settings: settings().json,
      environment: ["threads": 7], note: notes.append)
    #expect(try store.newest(in: makeContext())?.step == 3)
    #expect(notes.lines.count == 1 && notes.lines[0].contains("other threads"))
  }

  @Test func leftoversOfAnInterruptedWriteAreRemoved() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(4))
    let leftover = try OutputFolder("\(folder.path)/checkpoint/step-4")
    try Files.write("{}", to: leftover.path(of: CheckpointStore.stateFile))
    try Files.write("torn", to: leftover.path(of: "model.safetensors"))
    let end = try process(folder.path, settings())
    #expect(end.summary.resumedAt == 3)
    #expect(!Files.exists(leftover.stagingPath))
    #expect(end.weights == (try uninterrupted()))
    #expect(
      try Files.names(inFolder: "\(folder.path)/checkpoint") == ["step-6", "step-8"])
  }

  @Test func changedSettingsAreNamed() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(4))
    var changed = settings()
    changed.learningRate = 5e-3
    changed.losses.distillation = 0.5
    changed.losses.crossEntropy = 0.5
    changed.data[0].weight = 2
    let store = CheckpointStore(folder: "\(folder.path)/checkpoint", settings: changed.json)
    let error = #expect(throws: TrainingError.self) { try store.newest(in: makeContext()) }
    #expect(
      error?.description.contains(
        "(data[0].weight, learning_rate, losses.cross_entropy, losses.distillation)") == true)
    #expect(error?.description.contains("checkpoint/step-3: ") == true)
  }

  @Test func aFailedWriteKeepsTheLastCheckpointAndSaysSo() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(4))
    let context = try makeContext()
    let path = "\(folder.path)/checkpoint"
    let store = CheckpointStore(folder: path, settings: settings().json)
    #expect(try store.newest(in: context)?.step == 3)
    // Two tensors of one name cannot be written.
    var state = TrainingState(step: 6)
    let parameter = Parameter("p", context.zeros([2]))
    for _ in 0..<2 { state.add(parameter.value, .weight, of: parameter) }
    let error = #expect(throws: TrainingError.self) { try store.save(state, in: context) }
    #expect(error?.description.contains("the checkpoint of step 3 in \(path) is whole") == true)
    #expect(try Files.names(inFolder: path) == ["step-3"])
    #expect(try store.newest(in: context)?.step == 3)
  }

  @Test func checkpointsOfAnotherModelAreRefused() throws {
    let folder = TemporaryFolder()
    kill(folder.path, at: .afterStep(4))
    let context = try makeContext()
    let store = CheckpointStore(
      folder: "\(folder.path)/checkpoint", settings: settings().json)
    let other = try ToyModel.make(in: context)
    #expect(throws: TrainingError.self) {
      try Trainer(
        settings(), model: other, batches: ToyBatches(), store: store, in: context
      ).run()
    }
  }
}
