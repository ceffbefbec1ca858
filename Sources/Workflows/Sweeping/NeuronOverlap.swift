import ExpertConstruction
import Formats

/// How alike two divisions of the same neurons are.
enum NeuronOverlap {
  /// The adjusted Rand index of two divisions (Hubert and Arabie 1985, "Comparing partitions"): 1 for
  /// the same groups under any names, about 0 for divisions that have nothing to do with each other.
  /// - Parameters:
  ///   - first: The group of each neuron.
  ///   - second: The group of each neuron in the other division.
  static func adjustedRandIndex(_ first: [Int], _ second: [Int]) -> Double {
    guard first.count == second.count, first.count > 1 else { return 1 }
    func pairs(_ count: Int) -> Double { Double(count) * Double(count - 1) / 2 }
    var cells: [Int: Int] = [:]
    var rows: [Int: Int] = [:]
    var columns: [Int: Int] = [:]
    let width = (second.max() ?? 0) + 1
    for (a, b) in zip(first, second) {
      cells[a * width + b, default: 0] += 1
      rows[a, default: 0] += 1
      columns[b, default: 0] += 1
    }
    let together = cells.values.reduce(0) { $0 + pairs($1) }
    let inFirst = rows.values.reduce(0) { $0 + pairs($1) }
    let inSecond = columns.values.reduce(0) { $0 + pairs($1) }
    let expected = inFirst * inSecond / pairs(first.count)
    let largest = (inFirst + inSecond) / 2
    return largest == expected ? 1 : (together - expected) / (largest - expected)
  }

  /// The group of each neuron of each layer of a converted folder; `nil` where no ledger tells, or
  /// MLPs were not divided. Shared neurons are a group, as are those left out; of several experts
  /// that hold a neuron the first counts; copies of the whole MLP are no groups. A layer whose MLP stayed dense has no groups.
  static func groups(ofFolder folder: String) -> [[Int]]? {
    let path = "\(folder)/\(ByteLedger.fileName)"
    guard Files.exists(path), let ledger = try? ByteLedger(contentsOf: path),
      let geometry = ledger.shape?.block.geometry, geometry.form != .copied
    else { return nil }
    return ledger.splits.map { split in
      guard let split else { return [] }
      return groups([split.shared] + split.experts, width: geometry.width)
    }
  }

  /// The group of each of `width` neurons, given the neurons of each group.
  static func groups(_ units: [[Int32]], width: Int) -> [Int] {
    var groupOf = [Int](repeating: units.count, count: width)
    for (group, neurons) in units.enumerated().reversed() {
      for neuron in neurons where groupOf.indices.contains(Int(neuron)) {
        groupOf[Int(neuron)] = group
      }
    }
    return groupOf
  }

  /// The mean index over the layers that both divide.
  static func similarity(_ first: [[Int]], _ second: [[Int]]) -> Double {
    let indices = zip(first, second).filter { !$0.isEmpty && !$1.isEmpty }
      .map { adjustedRandIndex($0, $1) }
    return indices.isEmpty ? 0 : indices.reduce(0, +) / Double(indices.count)
  }
}
