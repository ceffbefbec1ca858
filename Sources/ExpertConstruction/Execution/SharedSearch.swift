import Formats
import Numerics

/// Finds for each layer how many of the units a token uses should be shared: the number that leaves
/// the least of the layer's output missing on calibration text, the active share being fixed
/// (after the search per layer in public work on CMoE).
public struct SharedSearch {
  private let plan: ConversionPlan
  private let checkpoint: Checkpoint
  private let context: Context

  /// - Parameter plan: Its geometry says how many units there are and how many a token uses.
  public init(_ plan: ConversionPlan, checkpoint: Checkpoint, context: Context) {
    self.plan = plan
    self.checkpoint = checkpoint
    self.context = context
  }

  /// Shared units of each layer, 0 of those that stay dense.
  ///
  /// - Parameters:
  ///   - calibration: The text; it is used up.
  ///   - progress: Called with the number of layers done.
  public func run(
    _ calibration: any CalibrationSource, progress: (Int) -> Void = { _ in }
  ) throws -> [Int] {
    guard let block = plan.block else { return [] }
    let (source, hidden) = (SourceReader(checkpoint), plan.source.hidden)
    let bytes = DenseLayerBytes(
      bytesPerMatrix: hidden * plan.source.width * plan.source.elementType.bitWidth / 8)
    var found: [Int] = []
    for layer in 0..<plan.source.layers {
      guard !plan.denseLayers.contains(layer) else {
        found.append(0)
        continue
      }
      for projection in Projection.allCases {
        try source.read(DenseSource.name(layer, projection), into: bytes[projection])
      }
      let inputs = try calibration.inputs(ofLayer: layer)
      found.append(
        try context.withMLP(
          width: plan.source.width, hidden: hidden, plan.source.elementType, bytes: { bytes[$0] }
        ) { weights in
          try best(
            LayerUnderConstruction(
              index: layer, geometry: block.geometry, weights: weights, inputs: inputs,
              seed: plan.settings.seed, context: context),
            allowsBias: block.hasRouterBias)
        })
      progress(layer + 1)
    }
    return found
  }

  private func best(_ layer: LayerUnderConstruction, allowsBias: Bool) throws -> Int {
    let strategy = plan.settings.strategy.make()
    let active = layer.geometry.topK + layer.geometry.shared
    let possible = try possibleNumbers(layer.geometry)
    if let published = try strategy.sharedCount(for: layer, active: active) {
      return min(max(published, possible.lowerBound), possible.upperBound)
    }
    var best = (shared: layer.geometry.shared, error: Double.infinity)
    for shared in possible {
      let candidate = try layer.cut(as: layer.geometry.sharing(shared))
      let split = try strategy.split(candidate)
      let router = try plan.settings.router.make().router(
        for: candidate, split, allowsBias: allowsBias)
      // With weight one each: how the experts are weighted is trained.
      let block = MixtureBlock(
        geometry: candidate.geometry, rule: .gained, scale: 1, hasRouterBias: allowsBias)
      let error = try RoutedLayer(candidate, split, router, block).missedShare(nil)
      if error < best.error { best = (shared, error) }
    }
    return best.shared
  }

  /// The numbers of shared units that recovery and the mean number of experts leave, all of which
  /// follow one another.
  private func possibleNumbers(_ geometry: SplitGeometry) throws -> ClosedRange<Int> {
    let recovery = plan.settings.recovery.make()
    let numbers = try (0..<geometry.topK + geometry.shared).filter { shared in
      let cut = try geometry.sharing(shared)
      return recovery?.refusal(of: cut) == nil
        && plan.settings.meanTopK.map { $0 <= Double(cut.topK) } ?? true
    }
    // The plan's own number is possible, or the plan had been refused.
    return (numbers.first ?? geometry.shared)...(numbers.last ?? geometry.shared)
  }
}
