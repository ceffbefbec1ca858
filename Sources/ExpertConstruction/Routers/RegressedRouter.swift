import Numerics

/// A ridge regression from the MLP's input to each expert's weighted activation norm,
/// `√(Σ_{n∈e} (|h_n|·‖down_n‖)²)` (after D2DMoE's regressed expert norms, but linear).
///
/// Targets are shifted and scaled by one mean and one deviation per layer, not per expert, so that
/// the predictions of different experts stay comparable.
public struct RegressedRouter: RouterConstruction {
  /// The ridge as a fraction of the mean diagonal entry of the inputs' Gram matrix.
  static let relativeRidge = 0.01

  public let summary = "ridge regression of the length of each expert's output"
  public let source = "Szatkowski et al. 2024, D2DMoE, made linear"
  public let data = "calibration text"
  public let cost = "one pass of the text and one linear solve a layer"
  public let inputPasses = 1

  /// The construction with its standard ridge.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { true }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    let record = try layer.activations()
    let norms = layer.context.read(record.expertEnergy(split)).map { max(0, $0).squareRoot() }
    return Self.router(
      norms: norms, experts: split.experts.count,
      try record.regression(intercept: allowsBias), allowsBias: allowsBias, layer.context)
  }

  /// A router that predicts the experts' norms on each token, `[T, E]` row-major.
  static func router(
    norms: [Float], experts: Int, _ regression: RidgeRegression, allowsBias: Bool,
    _ context: Context
  ) -> Router {
    let mean = norms.reduce(0.0) { $0 + Double($1) } / Double(max(1, norms.count))
    let variance = norms.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    let deviation = (variance / Double(max(1, norms.count))).squareRoot()
    let scale = deviation > 0 ? 1 / deviation : 0
    let targets = norms.map { Float((Double($0) - mean) * scale) }
    let fit = regression.solve(
      targets_TE: context.tensor(targets, [targets.count / experts, experts]))
    return Router(weight_ED: fit.weight_ED, bias_E: allowsBias ? fit.bias_E : nil)
  }
}
