import Numerics

/// Experts of neurons that are active on the same tokens.
///
/// Shared are the neurons of the highest importance, mean `|h_n|` times `‖down_n‖`. The others are
/// first divided by balanced k-means on their patterns of weighted activation over the calibration
/// tokens (each pattern scaled to unit length), then refined so that the experts a router can pick
/// hold as much of each token's activation as possible (``CapturedEnergy``).
public struct ActivationStrategy: ExpertConstructionStrategy {
  public let summary = "neurons active on the same tokens together, the important ones shared"
  public let source = "this toolkit; activation patterns after Zhang et al. 2022, MoEfication"
  public let data = "calibration text"
  public let cost = "one pass of the text, k-means and 12 transport problems a layer"
  public let inputPasses = 1
  public let readsWeights = true
  /// Rounds of refinement; 0 keeps the k-means result.
  public var refinements: Int
  private let kMeans: BalancedKMeans

  /// The strategy with `refinements` rounds of refinement at most.
  public init(refinements: Int = 12) {
    self.refinements = refinements
    kMeans = BalancedKMeans()
  }

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let (geometry, context) = (layer.geometry, layer.context)
    let record = try layer.activations()
    let (shared, routed) = largest(geometry.sharedWidth, by: record.importance_I)
    let energy = CapturedEnergy(record, routed: routed, context: context)
    var random = layer.random(.clustering)
    var assignment = kMeans.cluster(
      energy.patterns(), clusters: geometry.experts, random: &random, context: context)
    if refinements > 0, geometry.topK < geometry.experts {
      assignment = try energy.refine(
        assignment, experts: geometry.experts, topK: geometry.topK, rounds: refinements)
    }
    return try NeuronSplit(
      shared: shared, routed: routed, assignment: assignment, geometry: geometry)
  }
}
