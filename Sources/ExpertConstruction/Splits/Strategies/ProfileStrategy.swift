import Numerics

/// ExpertWeaver's division (2026): the neurons whose gates are most active on average are shared, the
/// others are divided by balanced k-means on how active they are on different pieces of text,
/// relative to their own mean.
///
/// The published profile has one column for each of several tasks; here every 64 tokens of
/// calibration text make one, so that one file is enough.
public struct ProfileStrategy: ExpertConstructionStrategy {
  public let summary = "neurons active on the same pieces of text, the most active shared"
  public let source = "ExpertWeaver 2026, arXiv 2602.15521"
  public let data = "calibration text, best one file for each domain"
  public let cost = "one pass of the text and k-means of profiles, once a layer"
  public let inputPasses = 1
  public let readsWeights = true
  private let kMeans = BalancedKMeans()

  /// The strategy; it has no settings.
  public init() {}

  /// The published rule: with r the fraction of neurons whose activity varies by more than 0.6 of its
  /// mean from one kind of text to another, 0.7 − 0.5·r of the active units are shared.
  public func sharedCount(for layer: LayerUnderConstruction, active: Int) throws -> Int? {
    let variation = try layer.profile().variation_I
    let varying = Double(variation.count { $0 > 0.6 }) / Double(max(1, variation.count))
    return min(active - 1, Int(((0.7 - 0.5 * varying) * Double(active)).rounded()))
  }

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let (geometry, context) = (layer.geometry, layer.context)
    let profile = try layer.profile()
    let (shared, routed) = largest(geometry.sharedWidth, by: profile.mean_I)
    let points = context.tensor(profile.relative(routed), [routed.count, profile.pieces])
    var random = layer.random(.clustering)
    return try NeuronSplit(
      shared: shared, routed: routed,
      assignment: kMeans.cluster(
        points, clusters: geometry.experts, random: &random, context: context),
      geometry: geometry)
  }
}
