import Data
import Glibc
import Models
import Numerics
import Testing

@testable import Evaluation

@Suite struct RoutingAnalysisTests {
  /// Two domains, three experts, two per token, counted by hand.
  @Test func countsByHand() {
    var layer = LayerRoutingStatistics(layer: 1, part: .mlp, topK: 2, experts: 3, domains: 2)
    layer.add([0, 1, 1, 0, 2, 0], probabilities: [1, 0, 0, 0, 1, 0, 0, 0, 1], domain: 0)
    layer.add([2, 1], probabilities: [1 / 3, 1 / 3, 1 / 3], domain: 1)
    #expect(layer.counts == [[3, 2, 1], [0, 1, 1]])
    #expect(layer.load.counts == [3, 3, 2])
    #expect(layer.together == [[3, 2, 1], [2, 3, 1], [1, 1, 2]])
    #expect(layer.coactivation[0] == [1, 2.0 / 3, 1.0 / 3])
    #expect(layer.tokens == [3, 1])
    #expect(abs(layer.routerEntropy(domain: 0)) < 1e-6)
    #expect(abs(layer.routerEntropy(domain: 1) - 1) < 1e-6)
    #expect(abs(layer.routerEntropy() - 0.25) < 1e-6)
  }

  @Test func domainsThatShareNoExpertDivergeFully() {
    var apart = LayerRoutingStatistics(layer: 0, part: .mlp, topK: 1, experts: 4, domains: 2)
    apart.add([0, 1], probabilities: [], domain: 0)
    apart.add([2, 3, 2, 3], probabilities: [], domain: 1)
    #expect(abs(apart.domainDivergence - 1) < 1e-12)
    var alike = LayerRoutingStatistics(layer: 0, part: .mlp, topK: 1, experts: 4, domains: 2)
    alike.add([0, 1], probabilities: [], domain: 0)
    alike.add([1, 0, 0, 1], probabilities: [], domain: 1)
    #expect(alike.domainDivergence == 0)
    // A domain without text says nothing.
    var single = LayerRoutingStatistics(layer: 0, part: .mlp, topK: 1, experts: 4, domains: 2)
    single.add([0], probabilities: [], domain: 0)
    #expect(single.domainDivergence == 0)
  }

  /// The closer look counts what the scores count.
  @Test func agreesWithTheScoresOnTheSameWindows() throws {
    let context = try Context(device: .cpu(threads: 2))
    let model = try RandomModel.make(mixture: true, in: context)
    let evaluator = try Evaluator(
      model, settings: .init(window: 16, windows: 5, tokensPerPass: 32), in: context)
    let streams = [RandomModel.stream(90), RandomModel.stream(60, seed: 5)]
    let layers = evaluator.routing(of: streams, windows: 3, in: context)
    #expect(layers.map(\.layer) == [0, 1])
    let few = try Evaluator(model, settings: .init(window: 16, windows: 3), in: context)
    for (domain, stream) in streams.enumerated() {
      let score = try few.evaluate(stream)
      #expect(layers.map { $0.counts[domain] } == score.load.map(\.counts))
    }
    for layer in layers {
      #expect(layer.tokens == [48, 48])
      #expect((0..<4).map { layer.together[$0][$0] } == layer.load.counts)
      // Two different experts a token: every choice has one partner.
      for row in layer.together.indices {
        let others = layer.together[row].enumerated().reduce(0) { $0 + ($1.0 == row ? 0 : $1.1) }
        #expect(others == layer.together[row][row])
      }
      #expect(layer.routerEntropy() > 0 && layer.routerEntropy() <= 1 + 1e-6)
    }
  }
}
