import Numerics

/// CMoE's division (Pei et al. 2025, section 3): the neurons marked most often are shared, the next
/// most often marked are the experts' first members, and the others join the expert whose first
/// member is marked on the tokens they are marked on, in equal numbers.
///
/// The distance between two neurons is the number of tokens on which one of them is marked; the
/// balanced assignment is exact, as published, and made once.
public struct CMoEStrategy: ExpertConstructionStrategy {
  public let summary = "often active neurons shared, others by the tokens they are active on"
  public let source = "Pei et al. 2025, CMoE"
  public let data = "calibration text"
  public let cost = "one pass of the text and one transport problem a layer"
  public let inputPasses = 1
  public let readsWeights = true

  /// The strategy with the published number of marks.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let geometry = layer.geometry
    let markers = try layer.markers()
    let counts = markers.counts_I
    let order = counts.indices.sorted {
      counts[$0] > counts[$1] || (counts[$0] == counts[$1] && $0 < $1)
    }.map { Int32($0) }
    let shared = Array(order.prefix(geometry.sharedWidth))
    let routed = Array(order.dropFirst(geometry.sharedWidth))
    let centres = Array(routed.prefix(geometry.experts))
    let together = markers.together(with: centres)
    // Of |a| + |b| - 2 a·b what depends on the expert, with the sign turned.
    var values: [Float] = []
    values.reserveCapacity(routed.count * centres.count)
    for neuron in routed {
      for (index, centre) in centres.enumerated() {
        values.append(
          2 * together[Int(neuron) * centres.count + index] - Float(counts[Int(centre)]))
      }
    }
    return try NeuronSplit(
      shared: shared, routed: routed,
      assignment: BalancedAssignment.solve(values_NG: values, groups: geometry.experts),
      geometry: geometry)
  }
}
