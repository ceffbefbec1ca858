import Numerics

/// Static pruning, the baseline every mixture has to beat: the neurons of the highest importance, as
/// many as a token of the mixture would use, as one dense MLP.
///
/// Importance is the mean of `|h_n|` over the calibration tokens times `‖down_n‖`, the rule by which
/// `activation` chooses shared neurons. (LLaMA-MoE, Zhu et al. 2024, prunes by scores too.)
public struct PruneStrategy: ExpertConstructionStrategy {
  public let summary =
    "no experts: the most important neurons as one dense MLP, the baseline"
  public let source = "the baseline every mixture has to beat"
  public let data = "calibration text"
  public let cost = "one pass of the text"
  public let inputPasses = 1
  public let readsWeights = true
  public let form = SplitForm.pruned

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let kept = largest(
      layer.geometry.activeWidth, by: try layer.activations().importance_I
    ).chosen
    return try NeuronSplit(shared: kept, experts: [], geometry: layer.geometry)
  }
}
