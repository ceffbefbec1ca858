/// Neurons joined by the tokens on which they are active together.
///
/// With `T_n` the tokens of neuron `n`, the edge between two neurons weighs
/// `|T_a ∩ T_b| / √(|T_a|·|T_b|)`: neurons that are active everywhere do not hold all others together.
/// The edges are never written down; what a group is to a neuron is summed over the neuron's tokens.
struct CoactivationGraph {
  /// Neurons.
  let nodes: Int
  /// The active neurons of each token, one after another.
  private let activeOf: Runs
  /// The tokens of each neuron, one after another, ascending.
  private let tokensOf: Runs
  /// `1/√|T_n|`; 0 for neurons that are never active.
  let weights: [Double]

  /// Lists of numbers in one array.
  private struct Runs {
    var starts: [Int] = [0]
    var items: [Int32] = []

    subscript(_ index: Int) -> Range<Int> { starts[index]..<starts[index + 1] }

    mutating func append(_ list: [Int32]) {
      items += list
      starts.append(items.count)
    }
  }

  /// - Parameter active: The active neurons of each token, each once.
  init(nodes: Int, active: [[Int32]]) {
    self.nodes = nodes
    var activeOf = Runs()
    var tokens = [[Int32]](repeating: [], count: nodes)
    for (token, list) in active.enumerated() {
      activeOf.append(list)
      for node in list { tokens[Int(node)].append(Int32(token)) }
    }
    var tokensOf = Runs()
    for list in tokens { tokensOf.append(list) }
    self.activeOf = activeOf
    self.tokensOf = tokensOf
    weights = tokens.map { $0.isEmpty ? 0 : 1 / Double($0.count).squareRoot() }
  }

  /// The weight of a neuron's edge to itself.
  func loop(_ node: Int) -> Double { weights[node] > 0 ? 1 : 0 }

  /// The weight of the edge between two neurons.
  func edge(_ a: Int, _ b: Int) -> Double {
    var (i, j, common) = (tokensOf[a].lowerBound, tokensOf[b].lowerBound, 0)
    while i < tokensOf[a].upperBound, j < tokensOf[b].upperBound {
      let (left, right) = (tokensOf.items[i], tokensOf.items[j])
      if left == right { common += 1 }
      if left <= right { i += 1 }
      if right <= left { j += 1 }
    }
    return Double(common) * weights[a] * weights[b]
  }

  /// The summed edges from each neuron to each of some groups, loops included, `[N, G]` row-major.
  ///
  /// - Parameter groupOf: The group of each neuron; negative for none.
  func affinities(_ groupOf: [Int32], groups: Int) -> [Double] {
    var result = [Double](repeating: 0, count: nodes * groups)
    var sums = [Double](repeating: 0, count: groups)
    for token in 0..<activeOf.starts.count - 1 {
      for group in sums.indices { sums[group] = 0 }
      let active = activeOf.items[activeOf[token]]
      for node in active where groupOf[Int(node)] >= 0 {
        sums[Int(groupOf[Int(node)])] += weights[Int(node)]
      }
      for node in active.map({ Int($0) }) {
        for group in 0..<groups { result[node * groups + group] += weights[node] * sums[group] }
      }
    }
    return result
  }

  /// Corrects `affinities` for a neuron that moves from one group to another.
  func move(
    _ node: Int, from source: Int, to target: Int, groups: Int, _ affinities: inout [Double]
  ) {
    let weight = weights[node]
    affinities.withUnsafeMutableBufferPointer { values in
      for place in tokensOf[node] {
        for other in activeOf[Int(tokensOf.items[place])] {
          let neighbour = Int(activeOf.items[other])
          let change = weight * weights[neighbour]
          values[neighbour * groups + source] -= change
          values[neighbour * groups + target] += change
        }
      }
    }
  }
}
