/// Neurons in their original order: the shared ones first, then expert after expert.
public struct SequentialStrategy: ExpertConstructionStrategy {
  public let summary = "neurons in their original order"
  public let source = "Qu et al. 2024, LLaMA-MoE v2 (its plain conversion)"
  public let data = "none"
  public let cost = "copying the weights"
  public let inputPasses = 0
  public let readsWeights = false

  /// The strategy; it has no settings.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let geometry = layer.geometry
    return try NeuronSplit(cutting: (0..<Int32(geometry.width)).map { $0 }, geometry: geometry)
  }
}

extension NeuronSplit {
  /// Shared neurons first and then expert after expert, in the order of `neurons`; ids ascend within
  /// each list.
  init(cutting neurons: [Int32], geometry: SplitGeometry) throws(ConstructionError) {
    let routed = neurons.dropFirst(geometry.sharedWidth)
    try self.init(
      shared: Array(neurons.prefix(geometry.sharedWidth)), routed: Array(routed),
      assignment: routed.indices.map {
        Int32(($0 - routed.startIndex) / geometry.expertWidth)
      }, geometry: geometry)
  }
}
