import Numerics
import Testing

@testable import Evaluation

@Suite struct ExpertChoiceTests {
  /// Two experts, two tokens each: the second expert is first of no token and takes the two that
  /// like it best.
  @Test func expertsTakeTheTokensThatLikeThemBest() {
    var choice = ExpertChoice(layer: 3, part: .mlp)
    choice.add(
      probabilities: [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4], chosen: [0, 0, 0, 0], experts: 2)
    #expect(choice.tokensByExperts == [0, 4] && choice.unchosen == 0 && choice.most == 1)
    #expect(choice.agreement == 0.5)
    // Dropped choices are none: one of four is left, and each expert takes one token at least.
    choice.add(
      probabilities: [0.9, 0.1, 0.8, 0.2], chosen: [0, -1, -1, -1], experts: 2)
    #expect(choice.tokens == 6 && choice.tokensByExperts == [0, 6])
  }

  @Test func everyLayerOfAModelIsAnalysed() throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try RandomModel.make(mixture: true, in: context)
    let evaluator = try Evaluator(
      model, settings: .init(window: 16, windows: 4), in: context)
    let layers = evaluator.expertChoice(RandomModel.stream(80))
    #expect(layers.map(\.layer) == [0, 1])
    for layer in layers {
      #expect(layer.tokens == 64 && layer.choices == 128)
      #expect(layer.tokensByExperts.reduce(0, +) == 64)
      #expect(layer.tokensByExperts.enumerated().reduce(0) { $0 + $1.offset * $1.element } == 128)
      #expect(layer.agreement > 0.5)
    }
    let dense = try Evaluator(
      RandomModel.make(in: context), settings: .init(window: 16, windows: 4), in: context)
    #expect(dense.expertChoice(RandomModel.stream(80)).isEmpty)
  }
}
