/// The choice of shared neurons of LLaMA-MoE's and LLaMA-MoE-v2's residual splits: those that matter
/// to most clusters.
///
/// Each cluster lists its most important neurons, an expert's width of them. The neurons that are in
/// the most lists are taken, lower numbers first; then the lists are filled up again, until there are
/// enough.
enum SharedTiers {
  /// The shared neurons and all others, both ascending.
  static func select(_ importance: ClusterImportance, geometry: SplitGeometry) -> (
    shared: [Int32], others: [Int32]
  ) {
    let all = (0..<Int32(geometry.width)).map { $0 }
    var orders = (0..<importance.clusters).map { importance.order(ofCluster: $0, among: all) }
    var isShared = [Bool](repeating: false, count: geometry.width)
    var chosen: [Int32] = []
    while chosen.count < geometry.sharedWidth {
      var counts = [Int](repeating: 0, count: geometry.width)
      for order in orders {
        for neuron in order.prefix(geometry.expertWidth) { counts[Int(neuron)] += 1 }
      }
      let most = counts.max() ?? 0
      let tier = all.filter { counts[Int($0)] == most }.prefix(geometry.sharedWidth - chosen.count)
      for neuron in tier { isShared[Int(neuron)] = true }
      chosen += tier
      for index in orders.indices { orders[index].removeAll { isShared[Int($0)] } }
    }
    return (chosen.sorted(), all.filter { !isShared[Int($0)] })
  }
}
