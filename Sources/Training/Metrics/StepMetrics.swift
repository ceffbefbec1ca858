import Models

/// What one optimizer step did, for the run log and for progress.
public struct StepMetrics: Sendable, Equatable {
  /// The cross-entropy of one domain.
  public struct DomainLoss: Sendable, Equatable {
    /// Name of the domain.
    public var domain: String
    /// Mean over the domain's loss tokens in this step, in nats.
    public var loss: Double
    /// Those tokens.
    public var tokens: Int
  }

  /// The share by which a domain is dealt out.
  public struct DomainWeight: Sendable, Equatable {
    /// Name of the domain.
    public var domain: String
    /// Its share of the sequences; those of all domains add up to one.
    public var weight: Double
  }

  /// Stage name.
  public var stage: String
  /// Steps done, this one included.
  public var step: Int
  /// Steps of the stage.
  public var steps: Int
  /// The loss that was minimised: all terms with their weights.
  public var loss: Double
  /// Cross-entropy per domain, for the domains that had loss tokens in this step.
  public var domains: [DomainLoss]
  /// The shares of the domains in this step; empty where they do not change.
  public var domainWeights: [DomainWeight]
  /// Terms of the loss, unweighted, under their metric names, in a fixed order.
  public var terms: [Term]
  /// Peak learning rate times the schedule's factor.
  public var learningRate: Double
  /// Global norm of the gradient before clipping.
  public var gradientNorm: Double
  /// Tokens of the step, padding included.
  public var tokens: Int
  /// Tokens of the step over the time it took.
  public var tokensPerSecond: Double
  /// How each mixture layer shared out its slots.
  public var expertLoads: [ExpertLoad]

  /// A term of the loss.
  public struct Term: Sendable, Equatable {
    /// Its key in ``Losses``, as spelled in a settings file.
    public var name: String
    /// Its value before weighting, averaged over the step.
    public var value: Double
  }

  /// The unweighted value of the term called `name`.
  public func term(_ name: String) -> Double? { terms.first { $0.name == name }?.value }
}
