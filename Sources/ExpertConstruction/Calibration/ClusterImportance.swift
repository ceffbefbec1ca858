import Numerics

/// How much each neuron of a layer matters to the language-model loss, per cluster of the MLP's inputs.
public struct ClusterImportance: Equatable, Sendable {
  /// Clusters, one for each routed expert.
  public let clusters: Int
  /// The clusters' centres among the MLP's inputs, `[E, D]` row-major.
  public let centres_ED: [Float]
  /// Mean of `|h_n · ∂loss/∂h_n|` over a cluster's tokens, `[E, I]` row-major.
  public let importance_EI: [Float]

  /// Statistics from their parts.
  public init(clusters: Int, centres_ED: [Float], importance_EI: [Float]) {
    self.clusters = clusters
    self.centres_ED = centres_ED
    self.importance_EI = importance_EI
  }

  /// The same by neuron, for the neurons given: `[N, E]` row-major.
  func byNeuron(_ neurons: [Int32]) -> [Float] {
    let width = importance_EI.count / max(1, clusters)
    var values: [Float] = []
    values.reserveCapacity(neurons.count * clusters)
    for neuron in neurons {
      for cluster in 0..<clusters { values.append(importance_EI[cluster * width + Int(neuron)]) }
    }
    return values
  }

  /// The neurons given in the order of their importance to one cluster, ties to the lower number.
  func order(ofCluster cluster: Int, among neurons: [Int32]) -> [Int32] {
    let width = importance_EI.count / max(1, clusters)
    let row = importance_EI[cluster * width..<(cluster + 1) * width]
    let start = row.startIndex
    return neurons.sorted { a, b in
      let (left, right) = (row[start + Int(a)], row[start + Int(b)])
      return left > right || (left == right && a < b)
    }
  }
}

/// Sums of `|h · g|` per cluster and neuron.
struct ImportanceTally {
  private let clusters: Int
  private let width: Int
  private var sums_EI: [Double]

  init(clusters: Int, width: Int) {
    self.clusters = clusters
    self.width = width
    sums_EI = [Double](repeating: 0, count: clusters * width)
  }

  /// Adds some tokens' activations and gradients, both `[T, I]` row-major.
  mutating func add(
    _ activations: [Float], _ gradients: [Float], clusterOf: ArraySlice<Int32>, pool: ThreadPool
  ) {
    let (width, first) = (width, clusterOf.startIndex)
    precondition(activations.count == clusterOf.count * width)
    precondition(gradients.count == activations.count)
    activations.withUnsafeBufferPointer { activations in
      gradients.withUnsafeBufferPointer { gradients in
        sums_EI.withUnsafeMutableBufferPointer { sums in
          let target = sums
          pool.forRanges(width, minimum: 256) { neurons in
            for token in 0..<clusterOf.count {
              let row = Int(clusterOf[first + token]) * width
              for neuron in neurons {
                let product =
                  activations[token * width + neuron] * gradients[token * width + neuron]
                target[row + neuron] += Double(abs(product))
              }
            }
          }
        }
      }
    }
  }

  /// The sums divided by each cluster's tokens; a cluster without any has zeros.
  func means(tokens_E: [Int]) -> [Float] {
    sums_EI.indices.map { Float(sums_EI[$0] / Double(max(1, tokens_E[$0 / width]))) }
  }
}
