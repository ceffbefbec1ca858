import Models

/// What a stage that changes the shares of its domains learns from: losses on text that it does not
/// train on, in nats, one for each entry of its data. Measuring must be a function of the weights.
public struct HeldOutLosses {
  /// The losses to reach.
  public var reference: [Double]
  /// The losses of a model.
  public var measure: (LanguageModel) throws -> [Double]

  /// Losses to reach and a way to measure them.
  public init(reference: [Double], measure: @escaping (LanguageModel) throws -> [Double]) {
    self.reference = reference
    self.measure = measure
  }
}
