import Formats
import Models
import Numerics

/// Compares two checkpoints of any formats, parameter by parameter, a piece at a time.
///
/// MLPs that are cut differently, such as a dense one and its experts, are compared neuron by neuron,
/// and heads group by group, wherever they stand.
public struct CheckpointComparison {
  private let first: ModelLoader
  private let second: ModelLoader

  /// A comparison of two opened folders.
  public init(_ first: ModelLoader, _ second: ModelLoader) {
    self.first = first
    self.second = second
  }

  private static let chunk = 1 << 20

  /// Reads both checkpoints once.
  /// - Parameter progress: Gets the number of parameters done and of all.
  public func run(progress: (Int, Int) -> Void = { _, _ in }) throws -> CheckpointDifference {
    let shapes = (
      Dictionary(uniqueKeysWithValues: parameters(of: first)),
      Dictionary(uniqueKeysWithValues: parameters(of: second))
    )
    var result = CheckpointDifference()
    let layers = min(
      first.layout.configuration.blocks.count, second.layout.configuration.blocks.count)
    var regrouped: Set<String> = []
    for layer in 0..<layers {
      let (here, there) = (
        try first.neurons(ofLayer: layer), try second.neurons(ofLayer: layer)
      )
      let (own, other) = (here.parameters, there.parameters)
      regrouped.formUnion(here.padding.union(there.padding))
      let isSame = own == other && own.allSatisfy { shapes.0[$0] == shapes.1[$0] }
      if !isSame {
        regrouped.formUnion(own.union(other))
        result.neurons.append(try neurons(layer))
      }
    }
    let names = parameters(of: first).map(\.0)
    for (index, name) in names.enumerated() where !regrouped.contains(name) {
      progress(index, names.count)
      guard let shape = shapes.0[name] else { continue }
      guard let other = shapes.1[name] else {
        result.onlyInFirst.append((name, shape))
        continue
      }
      guard shape == other else {
        if let times = try copies(name, shape, other) {
          result.repeated.append((name, times))
          continue
        }
        result.reshaped.append((name, shape, other))
        continue
      }
      let difference = try compare(name, shape)
      if difference.differing > 0 {
        result.tensors.append(difference)
      } else {
        result.equal += 1
      }
    }
    for (name, shape) in parameters(of: second)
    where shapes.0[name] == nil && !regrouped.contains(name) {
      result.onlyInSecond.append((name, shape))
    }
    for layer in 0..<layers { try findPermutations(layer, in: &result) }
    progress(names.count, names.count)
    return result
  }

  private func parameters(of loader: ModelLoader) -> [(String, [Int])] {
    loader.layout.configuration.parameterShapes.map { ($0.name, $0.shape) }
  }

  private func compare(_ name: String, _ shape: [Int]) throws -> TensorDifference {
    let scales = (Float(1 / (try scale(name, first))), Float(1 / (try scale(name, second))))
    let count = shape.reduce(1, *)
    var found = TensorDifference(name: name, elements: count)
    var (squares, differences) = (0.0, 0.0)
    for start in stride(from: 0, to: count, by: Self.chunk) {
      let range = start..<min(count, start + Self.chunk)
      let (own, other) = (try first.floats(name, range), try second.floats(name, range))
      for (a, b) in zip(own, other) {
        let (a, b) = (a * scales.0, b * scales.1)
        squares += Double(a) * Double(a)
        if a == b { continue }
        found.differing += 1
        let difference = abs(Double(a) - Double(b))
        differences += difference * difference
        // A NaN is no number to be the largest, so it counts as infinitely far.
        found.largest = max(found.largest, difference.isNaN ? .infinity : difference)
      }
    }
    found.relativeRMS =
      found.differing == 0 ? 0 : squares > 0 ? (differences / squares).squareRoot() : .infinity
    return found
  }

  /// How often the second checkpoint has each head of a parameter of the first, one after another;
  /// `nil` where it holds something else.
  private func copies(_ name: String, _ shape: [Int], _ other: [Int]) throws -> Int? {
    let parts = name.split(separator: ".")
    guard parts.count > 2, let layer = Int(parts[2]), shape.count == 2, other.count == 2,
      shape[1] == other[1], other[0] > shape[0], other[0] % shape[0] == 0,
      ["k_proj", "v_proj"].contains(parts[parts.count - 2]),
      case .attention(let attention) = first.layout.configuration.blocks[layer].mixer
    else { return nil }
    let (times, head) = (other[0] / shape[0], attention.headDimension * shape[1])
    for index in 0..<attention.keyHeads {
      let own = try first.floats(name, index * head..<(index + 1) * head)
      for copy in 0..<times {
        let start = (index * times + copy) * head
        guard try second.floats(name, start..<start + head) == own else { return nil }
      }
    }
    return times
  }

  /// The factor that was folded into a parameter when it was stored.
  private func scale(_ name: String, _ loader: ModelLoader) throws -> Double {
    if name.contains(".self_attn.") {
      return loader.layout.configuration.foldedAttentionScale(of: name)
    }
    guard name.hasSuffix("down_proj") || name.hasSuffix("down_proj.weight") else { return 1 }
    let parts = name.split(separator: ".")
    guard parts.count > 2, let layer = Int(parts[2]) else { return 1 }
    return try loader.neurons(ofLayer: layer).units.first { $0.parameters[.down] == name }?.scale
      ?? 1
  }

  private func neurons(_ layer: Int) throws -> NeuronMatch {
    let (own, other) = (
      try Fingerprints.neurons(layer, first), try Fingerprints.neurons(layer, second)
    )
    return NeuronMatch(
      layer: layer, inFirst: own.whole.count, inSecond: other.whole.count,
      sameRows: Self.common(own.rows, other.rows), same: Self.common(own.whole, other.whole),
      isInOrder: own.whole == other.whole)
  }

  /// Elements two lists have in common, repeated ones as often as in both.
  static func common(_ first: [UInt64], _ second: [UInt64]) -> Int {
    var counts: [UInt64: Int] = [:]
    for value in first { counts[value, default: 0] += 1 }
    var found = 0
    for value in second {
      guard let count = counts[value], count > 0 else { continue }
      counts[value] = count - 1
      found += 1
    }
    return found
  }

  /// Looks whether tensors of a layer that differ hold the same neurons or heads elsewhere.
  private func findPermutations(_ layer: Int, in result: inout CheckpointDifference) throws {
    let changed = Set(result.tensors.map(\.name))
    let own = try first.neurons(ofLayer: layer).parameters
    if !changed.isDisjoint(with: own) { result.neurons.append(try neurons(layer)) }
    let prefix = "\(ParameterName.block(layer)).self_attn."
    let blocks = (
      first.layout.configuration.blocks[layer], second.layout.configuration.blocks[layer]
    )
    guard case .attention(let attention) = blocks.0.mixer,
      case .attention(let other) = blocks.1.mixer,
      (attention.heads, attention.keyHeads, attention.headDimension)
        == (other.heads, other.keyHeads, other.headDimension),
      changed.contains(where: { $0.hasPrefix(prefix) && $0.hasSuffix("_proj.weight") })
    else { return }
    let (a, b) = (
      try Fingerprints.heads(layer, attention, first), try Fingerprints.heads(layer, other, second)
    )
    result.heads.append(
      HeadMatch(layer: layer, groups: a.count, same: Self.common(a, b)))
  }
}
