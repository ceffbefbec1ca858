import Glibc
import Numerics

@testable import ExpertConstruction

extension RandomStream {
  /// `count` standard normal values (Box and Muller).
  mutating func normal(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      let radius = (-2 * log(1 - uniform())).squareRoot()
      return Float(radius * cos(2 * .pi * uniform()))
    }
  }
}

/// A seeded MLP of the given sizes, and inputs for it.
func randomLayer(
  _ context: Context, geometry: SplitGeometry, hidden: Int, tokens: Int = 0, seed: UInt64 = 1,
  index: Int = 0, dtype: DType = .f32
) -> LayerUnderConstruction {
  var random = RandomStream(seed: seed, purpose: 77)
  let width = geometry.width
  let scale = 1 / Float(hidden).squareRoot()
  func matrix(_ rows: Int, _ columns: Int) -> Tensor {
    context.tensor(random.normal(rows * columns).map { $0 * scale }, [rows, columns], dtype)
  }
  let weights = MLPWeights(
    gate_ID: matrix(width, hidden), up_ID: matrix(width, hidden), down_DI: matrix(hidden, width))
  let importance = ClusterImportance(
    clusters: geometry.experts, centres_ED: random.normal(geometry.experts * hidden),
    importance_EI: random.normal(geometry.experts * width).map(abs))
  let inputs =
    tokens > 0
    ? RecordedInputs(
      context.tensor(random.normal(tokens * hidden), [tokens, hidden]), batch: max(1, tokens / 3))
    : nil
  return LayerUnderConstruction(
    index: index, geometry: geometry, weights: weights, inputs: inputs,
    clusterImportance: importance, seed: seed, context: context)
}

extension StrategyName {
  /// `shared`, or what is nearest to it among what the strategy can make.
  func shared(near shared: Int) -> Int {
    switch make().sharedUnits {
    case .none: 0
    case .optional: shared
    case .required: max(1, shared)
    }
  }

  /// Whether a format can hold what the strategy makes, when settings suit both.
  func fits(_ format: OutputFormat) -> Bool {
    let strategy = make()
    switch format {
    case .herd: return true
    case .llama: return strategy.form == .pruned
    case .mixtral: return strategy.form != .pruned && strategy.sharedUnits != .required
    case .qwen2_moe: return strategy.form != .pruned && strategy.sharedUnits != .none
    case .granitemoeshared, .glm4_moe: return strategy.form != .pruned
    case .jetmoe, .minimax, .transnormer, .hgrn2: return false
    }
  }
}

/// How well two divisions of the same items agree: the share of items whose group is the most
/// frequent one among the items of their planted group.
func agreement(_ groups: [Int32], _ planted: [Int32]) -> Double {
  var matches = 0
  for group in Set(planted) {
    var counts: [Int32: Int] = [:]
    for (index, value) in planted.enumerated() where value == group {
      counts[groups[index], default: 0] += 1
    }
    matches += counts.values.max() ?? 0
  }
  return Double(matches) / Double(max(1, planted.count))
}
