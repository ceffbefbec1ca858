import Glibc

/// How one tensor differs between two checkpoints.
public struct TensorDifference: Equatable, Sendable {
  /// The parameter.
  public var name: String
  /// Its elements.
  public var elements: Int
  /// Elements with another value.
  public var differing = 0
  /// The largest difference of any element.
  public var largest = 0.0
  /// Root of the mean square difference over that of the first tensor; infinite where it is all
  /// zeros.
  public var relativeRMS = 0.0

  /// Leading bits that agree on average, −log₂ of the relative difference; 0 where it is one or more.
  public var bits: Double {
    relativeRMS.isFinite && relativeRMS > 0 ? max(0, -log2(relativeRMS)) : 0
  }
}

/// The neurons two MLPs have in common, wherever they stand.
public struct NeuronMatch: Equatable, Sendable {
  /// The layer.
  public var layer: Int
  /// Neurons of the first MLP.
  public var inFirst: Int
  /// Neurons of the second.
  public var inSecond: Int
  /// Neurons whose gate and up rows are in both.
  public var sameRows: Int
  /// Neurons that are in both with all three of their parts.
  public var same: Int
  /// Whether both have the same neurons in the same order, shared ones before those of experts.
  public var isInOrder: Bool

  /// Whether one MLP's neurons are the other's in some order.
  public var isPermutation: Bool { same == inFirst && same == inSecond }
}

/// The key heads, each with its query heads, that two attentions have in common.
public struct HeadMatch: Equatable, Sendable {
  /// The layer.
  public var layer: Int
  /// Key heads of each.
  public var groups: Int
  /// Those that are in both.
  public var same: Int

  /// Whether one attention's heads are the other's in some order.
  public var isPermutation: Bool { same == groups }
}

/// All differences between two checkpoints.
public struct CheckpointDifference: Sendable {
  /// Parameters with equal values.
  public var equal = 0
  /// Parameters with other values.
  public var tensors: [TensorDifference] = []
  /// Parameters of the first checkpoint only.
  public var onlyInFirst: [(name: String, shape: [Int])] = []
  /// Parameters of the second checkpoint only.
  public var onlyInSecond: [(name: String, shape: [Int])] = []
  /// Parameters whose shapes differ.
  public var reshaped: [(name: String, first: [Int], second: [Int])] = []
  /// Parameters whose heads the second checkpoint has several times each.
  public var repeated: [(name: String, times: Int)] = []
  /// MLPs that are cut differently or hold other values.
  public var neurons: [NeuronMatch] = []
  /// Attentions that hold other values.
  public var heads: [HeadMatch] = []

  /// Whether nothing differs: MLPs that are cut differently count as equal when their neurons come
  /// in the same order.
  public var isEmpty: Bool {
    tensors.isEmpty && onlyInFirst.isEmpty && onlyInSecond.isEmpty && reshaped.isEmpty
      && repeated.isEmpty
      && neurons.allSatisfy { $0.isPermutation && $0.isInOrder }
  }
}
