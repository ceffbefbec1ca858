import Numerics

/// A seeded random router, uniform in ±1/√D: the usual start of a linear layer (LLaMA-MoE's choice).
public struct RandomRouter: RouterConstruction {
  public let summary = "seeded random rows, uniform in plus or minus 1/sqrt(D)"
  public let source = "Zhu et al. 2024, LLaMA-MoE"
  public let data = "none"
  public let cost = "nothing"
  public let inputPasses = 0
  public let tellsCopiesApart = true

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { false }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    let bound = 1 / Float(layer.weights.hidden).squareRoot()
    var random = layer.random(.router)
    let count = split.experts.count * layer.weights.hidden
    return Router(weight_ED: random.uniform(count, in: -bound...bound), bias_E: nil)
  }
}
