import Data
import Glibc
import Models
import Numerics

/// How one mixture layer treated some text: which experts it chose, which together, how surely.
public struct LayerRoutingStatistics: Sendable, Equatable {
  /// Index of the block.
  public let layer: Int
  /// Which half of the block.
  public let part: BlockPart
  /// Experts of each token.
  public let topK: Int
  /// How often each expert was chosen, by domain.
  public internal(set) var counts: [[Int]]
  /// For each pair of experts how many tokens chose both, `[E, E]`; the diagonal counts choices.
  public internal(set) var together: [[Int]]
  /// Sum over tokens of the entropy of the router's probabilities over that of an even spread, by
  /// domain.
  var entropySums: [Double]
  /// Tokens by domain.
  public internal(set) var tokens: [Int]

  /// Experts.
  public var experts: Int { together.count }

  /// The load of each expert over all domains.
  public var load: ExpertLoad {
    ExpertLoad(
      layer: layer, part: part,
      counts: (0..<experts).map { expert in counts.reduce(0) { $0 + $1[expert] } })
  }

  /// The load of each expert on one domain.
  public func load(domain: Int) -> ExpertLoad {
    ExpertLoad(layer: layer, part: part, counts: counts[domain])
  }

  /// Mean entropy of the router's probabilities over that of an even spread, on one domain or on all:
  /// 0 where it is sure of one expert, 1 where it has no preference.
  public func routerEntropy(domain: Int? = nil) -> Double {
    guard let domain else { return entropySums.reduce(0, +) / Double(max(1, tokens.reduce(0, +))) }
    return entropySums[domain] / Double(max(1, tokens[domain]))
  }

  /// The part of expert `row`'s tokens that chose `column` too, `[E, E]`; 0 for an unused expert.
  public var coactivation: [[Double]] {
    together.enumerated().map { row, counts in
      counts.map { Double($0) / Double(max(1, together[row][row])) }
    }
  }

  /// How differently the domains use the experts: the Jensen-Shannon divergence of their loads (Lin
  /// 1991), domains weighted alike, over its largest value: 0 where all domains have one load, 1
  /// where no two share an expert.
  public var domainDivergence: Double {
    let shares = counts.indices.filter { tokens[$0] > 0 }.map { load(domain: $0).shares }
    guard shares.count > 1 else { return 0 }
    let mean = (0..<experts).map { expert in
      shares.reduce(0) { $0 + $1[expert] } / Double(shares.count)
    }
    func entropy(_ values: [Double]) -> Double {
      values.reduce(0) { $1 > 0 ? $0 - $1 * log($1) : $0 }
    }
    let spread = shares.reduce(0) { $0 + entropy($1) } / Double(shares.count)
    return max(0, entropy(mean) - spread) / log(Double(shares.count))
  }

  init(layer: Int, part: BlockPart, topK: Int, experts: Int, domains: Int) {
    self.layer = layer
    self.part = part
    self.topK = topK
    counts = Array(repeating: Array(repeating: 0, count: experts), count: domains)
    together = Array(repeating: Array(repeating: 0, count: experts), count: experts)
    entropySums = Array(repeating: 0, count: domains)
    tokens = Array(repeating: 0, count: domains)
  }

  /// Adds the choices `[T, K]` and probabilities `[T, E]` of some tokens of a domain.
  mutating func add(_ chosen: [Int32], probabilities: [Float], domain: Int) {
    guard topK > 0, experts > 0 else { return }
    let count = chosen.count / topK
    tokens[domain] += count
    for token in 0..<count {
      let own = chosen[token * topK..<(token + 1) * topK]
      for first in own where first >= 0 {
        counts[domain][Int(first)] += 1
        for second in own where second >= 0 { together[Int(first)][Int(second)] += 1 }
      }
    }
    let scale = experts > 1 ? 1 / log(Double(experts)) : 0
    entropySums[domain] -= probabilities.reduce(0.0) { sum, p in
      p > 0 ? sum + Double(p) * Double(log(p)) * scale : sum
    }
  }
}

extension Evaluator {
  /// Looks closely at how every mixture layer routes the first windows of each stream.
  /// - Returns: One entry per router, in the order in which tokens meet them; domains in the order of
  ///   `streams`.
  public func routing(
    of streams: [TokenStream], windows limit: Int, in context: Context
  ) -> [LayerRoutingStatistics] {
    var layers: [LayerRoutingStatistics] = []
    let perPass = max(1, settings.tokensPerPass / settings.window)
    for (domain, stream) in streams.enumerated() {
      let windows = EvaluationWindows(
        stream, length: settings.window, limit: limit,
        separatesDocuments: settings.separatesDocuments)
      for batch in windows.batches(of: perPass) {
        let batch = TokenBatch(batch)
        let output = model(
          context.tensor(batch.tokens, [batch.tokens.count]),
          layout: SequenceLayout(documentLengths: batch.lengths, in: context), in: context)
        for (index, routed) in output.routings.enumerated() {
          let routing = routed.routing
          if index == layers.count {
            layers.append(
              LayerRoutingStatistics(
                layer: routed.layer, part: routed.part, topK: routing.experts_TK.columns,
                experts: routing.counts_E.count, domains: streams.count))
          }
          layers[index].add(
            context.readIntegers(routing.experts_TK),
            probabilities: context.read(routing.probabilities_TE), domain: domain)
        }
      }
    }
    return layers
  }
}
