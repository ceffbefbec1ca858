import Models
import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct GGUFArchitectureTests {
  private func model(
    _ mlps: [MLPConfiguration], _ change: (inout AttentionConfiguration) -> Void = { _ in }
  ) -> ModelConfiguration {
    var attention = AttentionConfiguration(
      heads: 4, keyHeads: 2, headDimension: 8, rope: RoPEConfiguration(theta: 1e4))
    change(&attention)
    return ModelConfiguration(
      vocabularySize: 64, hiddenSize: 32, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 128,
      blocks: mlps.map { BlockConfiguration(mixer: .attention(attention), mlp: $0) })
  }

  private func mixture(
    _ combination: Combination, topK: Int = 2, shared: Int = 0, bias: Bool = false,
    selection: Bool = false, gate: Bool = false
  ) -> MLPConfiguration {
    .mixture(
      MixtureConfiguration(
        experts: 4, topK: topK, expertWidth: 8, sharedWidth: shared * 8, combination: combination,
        routerBias: bias, selectionBias: selection, sharedGate: gate))
  }

  private let dense = MLPConfiguration.dense(DenseConfiguration(width: 32))

  private func chosen(_ mlps: [MLPConfiguration], gainsAreZero: Bool = true) throws
    -> GGUFArchitecture
  {
    try GGUFArchitecture(model(mlps), gainsAreZero: gainsAreZero)
  }

  @Test func rulesFindTheirArchitecture() throws {
    #expect(try chosen([dense, dense]).name == .llama)
    let mixtral = try chosen([mixture(.renormalizedSoftmax(scale: 4))])
    #expect(mixtral.name == .llama && mixtral.downScale == 4 && mixtral.interleavesHeads)
    let granite = try chosen([mixture(.renormalizedSoftmax(scale: 2), shared: 1)])
    #expect(granite.name == .granitemoe && granite.downScale == 2 && granite.sharedWidth == 8)
    #expect(try chosen([mixture(.gained, topK: 1)]).name == .llama)
    let whole = try chosen([mixture(.gained, shared: 2)])
    #expect(whole.name == .glm4moe && whole.gating == .softmaxOfChosen && whole.weightScale == 2)
    #expect(whole.routerScale == 0x1p-30 && !whole.interleavesHeads && !whole.padsShared)
    let free = try chosen([mixture(.softmax(scale: 3))])
    #expect(free.name == .glm4moe && free.gating == .softmax && !free.normalizes)
    #expect(free.weightScale == 3 && free.padsShared && free.sharedWidth == 8)
    let sigmoid = try chosen([mixture(.sigmoid(scale: 2), shared: 1, selection: true)])
    #expect(sigmoid.gating == .sigmoid && !sigmoid.normalizes && sigmoid.weightScale == 2)
    #expect(try chosen([mixture(.renormalizedSigmoid(scale: 1), shared: 1)]).normalizes)
    let kept = try chosen([dense, mixture(.renormalizedSoftmax(scale: 2), shared: 1)])
    #expect(kept.name == .glm4moe && kept.denseLayers == 1 && kept.dense?.width == 32)
    let balanced = try chosen([mixture(.renormalizedSoftmax(scale: 2), shared: 1, selection: true)])
    #expect(balanced.name == .glm4moe && balanced.gating == .softmaxOfChosen)
  }

  @Test func whatNoneHoldsIsRefused() throws {
    func refusal(
      _ mlps: [MLPConfiguration], gainsAreZero: Bool = true,
      _ change: (inout AttentionConfiguration) -> Void = { _ in }
    ) -> String {
      do {
        _ = try GGUFArchitecture(model(mlps, change), gainsAreZero: gainsAreZero)
        return "held"
      } catch { return error.description }
    }
    #expect(refusal([mixture(.gained)], gainsAreZero: false).contains("trained u"))
    #expect(refusal([mixture(.renormalizedSoftmax(scale: 1), bias: true)]).contains("bias"))
    #expect(refusal([mixture(.softmax(scale: 1), shared: 1, gate: true)]).contains("sigmoid gate"))
    #expect(refusal([mixture(.softmax(scale: 1), selection: true)]).contains("no such weights"))
    #expect(refusal([mixture(.gained), dense]).contains("dense layers behind"))
    #expect(refusal([mixture(.gained), mixture(.gained, topK: 1)]).contains("layers differ"))
    func changed(_ change: (inout MixtureConfiguration) -> Void) -> [MLPConfiguration] {
      var mixture = MixtureConfiguration(experts: 4, topK: 1, expertWidth: 8, combination: .gained)
      change(&mixture)
      return [.mixture(mixture)]
    }
    #expect(refusal(changed { $0.outputBias = true }).contains("MLPs end in a bias"))
    #expect(refusal(changed { $0.routerKind = .gatedPair }).contains("gated pairs of rows"))
    #expect(refusal(changed { $0.routerKind = .tanhPair }).contains("a tanh between"))
    #expect(refusal([dense]) { $0.window = 16 }.contains("sliding window of 16"))
    #expect(refusal([dense]) { $0.window = 128 } == "held")
    #expect(refusal([dense]) { $0.scale = 1 }.contains("scale of its own"))
    #expect(
      refusal([dense]) {
        $0.mixture = AttentionMixtureConfiguration(
          kind: .moa, experts: 2, topK: 1, combination: .gained)
      }.contains("jetmoe"))
    let scaling = RoPEConfiguration.Scaling.llama3(
      factor: 8, lowFactor: 1, highFactor: 4, originalPositions: 64)
    #expect(refusal([mixture(.gained)]) { $0.rope.scaling = scaling }.contains("rotary factors"))
    #expect(refusal([dense]) { $0.rope.scaling = scaling } == "held")
    #expect(refusal([mixture(.gained)]) { $0.outputBias = true }.contains("attention output"))
  }
}
