import Models

/// What a stage calls on its way. Each may throw, which ends the stage at that point.
public struct TrainingHooks {
  /// After every step.
  public var onStep: (StepMetrics) throws -> Void = { _ in }
  /// After every ``StageSettings/evaluateEvery`` steps, with the number of steps done.
  public var onEvaluation: (Int, LanguageModel) throws -> Void = { _, _ in }
  /// After every ``DomainWeighting/every`` steps of a stage that has it, with the domains' new shares.
  public var onWeights: (WeightUpdate) throws -> Void = { _ in }
  /// Before a checkpoint is declared good: bring to the disk what belongs to the steps it holds.
  public var beforeCheckpoint: () throws -> Void = {}
  /// Once, when the stage goes on from a checkpoint: the number of steps already done.
  public var onResume: (Int) throws -> Void = { _ in }

  /// Asked after every step but the last: whether to write a checkpoint and stop here.
  public var stopsEarly: () -> Bool = { false }

  /// Hooks that do nothing.
  public init() {}
}
