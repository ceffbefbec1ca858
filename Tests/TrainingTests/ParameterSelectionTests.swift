import Models
import Numerics
import Testing

@testable import Training

@Suite struct ParameterSelectionTests {
  @Test(arguments: [
    ("*", "a.b", true), ("a.*", "a.b.c", true), ("*.c", "a.b.c", true), ("a.?", "a.b", true),
    ("a.?", "a.", false), ("a", "a.b", false), ("*b*c", "abbc", true), ("*b*c", "abcb", false),
    ("", "a", false), ("**", "", true), ("model.layers.1.*", "model.layers.10.x", false),
  ])
  func patternsMatchWholeNames(_ pattern: String, _ name: String, _ matches: Bool) {
    #expect(NamePattern(pattern).matches(name) == matches)
  }

  @Test func groupsSetLearningRatesAndTheFirstMatchCounts() throws {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.mixture(), in: context)
    var settings = toySettings()
    settings.train = ["*.mlp.*", "model.norm.weight"]
    settings.groups = [
      .init(pattern: "*.router.*", learningRate: 0.5), .init(pattern: "*.mlp.*", learningRate: 0.1),
    ]
    let entries = try ParameterSelection(settings, model: model).entries
    let rates = Dictionary(
      uniqueKeysWithValues: entries.map { ($0.parameter.name, $0.learningRate) })
    #expect(rates["model.layers.0.mlp.router.weight"] == 0.5)
    #expect(rates["model.layers.1.mlp.experts.up_proj"] == 0.1)
    #expect(rates["model.norm.weight"] == settings.learningRate)
    #expect(rates["model.layers.0.self_attn.q_proj.weight"] == nil)
  }

  @Test func routersHaveARateOfTheirOwnUnlessAGroupSaysOtherwise() throws {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.mixture(), in: context)
    var settings = toySettings()
    settings.routerLearningRate = 1e-5
    settings.groups = [.init(pattern: "model.layers.1.mlp.router.*", learningRate: 0.5)]
    let entries = try ParameterSelection(settings, model: model).entries
    let rates = Dictionary(
      uniqueKeysWithValues: entries.map { ($0.parameter.name, $0.learningRate) })
    #expect(rates["model.layers.0.mlp.router.weight"] == 1e-5)
    #expect(rates["model.layers.1.mlp.router.weight"] == 0.5)
    #expect(rates["model.layers.0.mlp.experts.up_proj"] == settings.learningRate)
    for (name, rate) in rates where name.hasSuffix(".gain") && name.contains(".0.") {
      #expect(rate == settings.learningRate)
    }
    // A model without routers, such as the baseline of a sweep, takes the same settings.
    settings.groups = []
    let dense = try ParameterSelection(settings, model: ToyModel.make(in: context))
    #expect(dense.entries.allSatisfy { $0.learningRate == settings.learningRate })
  }

  @Test func aPatternThatMatchesNothingIsAnError() throws {
    let context = try makeContext()
    let model = try ToyModel.make(in: context)
    var settings = toySettings()
    settings.train = ["*", "model.nrm.weight"]
    let error = #expect(throws: SettingsError.self) {
      try ParameterSelection(settings, model: model)
    }
    #expect(
      error?.description
        == "stage toy: train: pattern \"model.nrm.weight\" matches no parameter of the model; did you mean model.norm.weight?"
    )
    settings.train = ["*.mlp.*"]
    settings.groups = [.init(pattern: "lm_head.*", learningRate: 1)]
    #expect(throws: SettingsError.self) { try ParameterSelection(settings, model: model) }
  }

  /// A rate that shrinks is another rate, not a smaller weight.
  @Test func ratesHaveNoWeightDecay() throws {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.selective, in: context)
    let entries = try ParameterSelection(toySettings(), model: model).entries
    let isDecayed = Dictionary(
      uniqueKeysWithValues: entries.map { ($0.parameter.name, $0.isDecayed) })
    let prefix = "model.layers.0.self_attn."
    #expect(isDecayed["\(prefix)log_rate"] == false)
    #expect(isDecayed["\(prefix)step_proj.bias"] == false)
    #expect(isDecayed["\(prefix)step_proj.weight"] == true)
  }

  @Test func selectionBiasesNeverTrain() throws {
    let context = try makeContext()
    let model = try ToyModel.make(ToyModel.mixture(selectionBias: true), in: context)
    let names = try ParameterSelection(toySettings(), model: model).entries.map(\.parameter.name)
    #expect(!names.contains { $0.hasSuffix("selection_bias") })
    #expect(names.count == model.parameters.count - 2)
  }
}
