import Numerics

/// What a strategy and a router see of the model: one layer.
public final class LayerUnderConstruction {
  /// The layer's position in the model.
  public let index: Int
  /// How the layer is to be cut.
  public let geometry: SplitGeometry
  /// The dense MLP.
  public let weights: MLPWeights
  /// What enters the MLP on calibration data; `nil` without such data.
  public let inputs: (any LayerInputs)?
  /// What the loss's gradient says of the neurons; `nil` where nobody asked for it.
  public let clusterImportance: ClusterImportance?
  /// The conversion's seed.
  public let seed: UInt64
  /// Where numerical work runs.
  public let context: Context
  private var record: ActivationRecord?
  private var marks: ActivationMarkers?
  private var profiles: ActivationProfile?

  /// Neurons marked on each token, as published for CMoE.
  private static let marksPerToken = 10

  /// One layer with everything a strategy and a router may look at.
  public init(
    index: Int, geometry: SplitGeometry, weights: MLPWeights, inputs: (any LayerInputs)?,
    clusterImportance: ClusterImportance? = nil, seed: UInt64, context: Context
  ) {
    self.index = index
    self.geometry = geometry
    self.weights = weights
    self.inputs = inputs
    self.clusterImportance = clusterImportance
    self.seed = seed
    self.context = context
  }

  /// The same layer cut another way; what was found out on calibration text is kept.
  func cut(as geometry: SplitGeometry) throws -> LayerUnderConstruction {
    let layer = LayerUnderConstruction(
      index: index, geometry: geometry, weights: weights, inputs: inputs, seed: seed,
      context: context)
    layer.record = try activations()
    (layer.marks, layer.profiles) = (marks, profiles)
    return layer
  }

  /// Random numbers for one `purpose` in this layer, independent of all others.
  func random(_ purpose: RandomPurpose) -> RandomStream {
    RandomStream(seed: seed, purpose: UInt64(index) << 8 | purpose.rawValue)
  }

  /// The neurons' importance per cluster of inputs, a cluster for each expert.
  func importancePerExpert() throws(ConstructionError) -> ClusterImportance {
    guard let clusterImportance else {
      throw ConstructionError(
        .refused,
        "layer \(index): this construction needs the loss's gradient on calibration text; give "
          + "--data FILE")
    }
    guard clusterImportance.clusters == geometry.experts,
      clusterImportance.importance_EI.count == geometry.experts * geometry.width
    else {
      throw ConstructionError(
        .damagedSource,
        "layer \(index): importance of \(clusterImportance.clusters) clusters does not fit "
          + "\(geometry.experts) experts of an MLP of width \(geometry.width)")
    }
    return clusterImportance
  }

  /// How concentrated the neurons' importance is; `nil` where nobody asked for activations.
  var importance: ImportanceConcentration? {
    record.map { ImportanceConcentration(layer: index, importance: $0.importance_I) }
  }

  /// The neurons' activations on the calibration tokens, recorded in one pass at first use.
  func activations() throws -> ActivationRecord {
    if let record { return record }
    let made = try ActivationRecord(neededInputs(), weights, context)
    record = made
    return made
  }

  /// The neurons most active on each calibration token, found in one pass at first use.
  func markers() throws -> ActivationMarkers {
    if let marks { return marks }
    let made = try ActivationMarkers(
      neededInputs(), weights, perToken: Self.marksPerToken, context)
    marks = made
    return made
  }

  /// How active the neurons are on different pieces of the calibration text, found in one pass at
  /// first use.
  func profile() throws -> ActivationProfile {
    if let profiles { return profiles }
    let made = try ActivationProfile(neededInputs(), weights, context)
    profiles = made
    return made
  }

  private func neededInputs() throws -> any LayerInputs {
    guard let inputs, inputs.tokens > 0 else {
      throw ConstructionError(
        .refused, "layer \(index): this construction needs calibration text; give --data FILE")
    }
    return inputs
  }
}

/// What random numbers are drawn for.
enum RandomPurpose: UInt64 {
  case split = 1
  case clustering
  case router
  case proof
  case attentionRouter
  case hiddenClusters
  case redraw
}
