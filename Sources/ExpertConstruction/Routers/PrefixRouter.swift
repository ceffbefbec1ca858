import Numerics

/// Every token ranks the experts alike, the most active on average first; what varies is how high the
/// scores are, so that with --mean-top-k a token uses the first experts, as many as it needs
/// (after the difficulty router of DynaMoE, Nishu et al. 2025).
///
/// All experts have one row, a ridge regression of their mean weighted activation norm on a token;
/// an expert's bias is its mean norm over all tokens.
public struct PrefixRouter: RouterConstruction {
  public let summary = "one regressed difficulty for all experts, the most active first"
  public let source = "after Nishu et al. 2025, DynaMoE"
  public let data = "calibration text"
  public let cost = "one pass of the text and one linear solve a layer"
  public let inputPasses = 1
  public let needsBias = true

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { true }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    guard allowsBias else {
      throw ConstructionError(
        .refused,
        "the router prefix ranks experts by biases, which the format has not; use --format herd")
    }
    let (context, experts) = (layer.context, split.experts.count)
    let record = try layer.activations()
    let norms = context.read(record.expertEnergy(split)).map { max(0, $0).squareRoot() }
    let tokens = record.x_TD.rows
    var byToken = [Float](repeating: 0, count: tokens)
    var byExpert = [Float](repeating: 0, count: experts)
    for (index, norm) in norms.enumerated() {
      byToken[index / experts] += norm / Float(experts)
      byExpert[index % experts] += norm / Float(max(1, tokens))
    }
    let mean = byExpert.reduce(0, +) / Float(experts)
    let fit = try record.regression(intercept: true).solve(
      targets_TE: context.tensor(byToken, [tokens, 1]))
    return Router(
      weight_ED: (0..<experts).flatMap { _ in fit.weight_ED },
      bias_E: byExpert.map { fit.bias_E[0] + $0 - mean })
  }
}
