import Numerics

/// LLaMA-MoE-v2's router: the centres of a balanced k-means of the MLP's inputs, as they are and
/// without bias, so that long centres win more often than near ones (Qu et al. 2024).
///
/// It is there to reproduce that recipe; `centroid` has the bias that makes the nearest centre win.
/// The clusters are exactly equal in size. A centre goes to the expert that is most active on its
/// tokens, one each.
public struct KMeansRouter: RouterConstruction {
  public let summary = "raw centres of a balanced k-means of the inputs"
  public let source = "Qu et al. 2024, LLaMA-MoE v2"
  public let data = "calibration text"
  public let cost = "one pass of the text and k-means of its tokens, once a layer"
  public let inputPasses = 1
  /// The centres are those of the inputs, whatever the experts are.
  public let tellsCopiesApart = true
  private let kMeans = BalancedKMeans(iterations: 10)

  /// The construction; it has no settings.
  public init() {}

  public func usesBias(withInputs: Bool) -> Bool { false }

  public func router(for layer: LayerUnderConstruction, _ split: NeuronSplit, allowsBias: Bool)
    throws -> Router
  {
    let (context, experts) = (layer.context, split.experts.count)
    let record = try layer.activations()
    // Equal clusters: the last few tokens are left out.
    let tokens = record.x_TD.rows / experts * experts
    guard tokens > 0 else {
      throw ConstructionError(
        .refused,
        "layer \(layer.index): \(record.x_TD.rows) calibration tokens make no \(experts) clusters; "
          + "use more --calibration-tokens")
    }
    let x_TD = record.x_TD.slice(0..<tokens)
    var random = layer.random(.router)
    let clusters = kMeans.cluster(x_TD, clusters: experts, random: &random, context: context)
    let weight = Double(experts) / Double(tokens)
    let members_TC = context.indicator(of: clusters, columns: experts, value: weight)
    let centres_CD = context.read(context.product(members_TC, transposeA: true, x_TD))
    let energy_TE = record.expertEnergy(split).slice(0..<tokens)
    let energy_CE = context.read(context.product(members_TC, transposeA: true, energy_TE))
    let expertOf = BalancedAssignment.solve(values_NG: energy_CE, groups: experts)
    let hidden = x_TD.columns
    var rows = [Float](repeating: 0, count: experts * hidden)
    for (cluster, expert) in expertOf.enumerated() {
      for column in 0..<hidden {
        rows[Int(expert) * hidden + column] = centres_CD[cluster * hidden + column]
      }
    }
    return Router(weight_ED: rows)
  }
}
