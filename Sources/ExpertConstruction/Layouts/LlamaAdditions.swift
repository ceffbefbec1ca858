import Models
import Numerics

extension ModelConfiguration {
  /// What the embeddings, norms and dense MLPs have that those of LLaMA, and of the formats made of its
  /// fields, have not; `nil` for nothing.
  var llamaAdditions: String? {
    let gates = blocks.compactMap { block in
      if case .dense(let dense) = block.mlp { dense.activation } else { nil }
    }
    return Self.llamaAdditions(
      embeddingScale: embeddingScale, hasNormWeights: hasNormWeights, gates: gates)
  }

  static func llamaAdditions(
    embeddingScale: Double, hasNormWeights: Bool, gates: [Activation]
  ) -> String? {
    if embeddingScale != 1 { return "embeddings that are multiplied by \(embeddingScale)" }
    if !hasNormWeights { return "norms without weights" }
    return gates.first { $0 != .silu }.map { "MLPs whose gate is \($0.rawValue) instead of silu" }
  }
}

extension MixtureModel {
  /// The same of a model that is written or planned; MLPs that are converted are SwiGLU.
  var llamaAdditions: String? {
    structure.map(\.llamaAdditions)
      ?? ModelConfiguration.llamaAdditions(
        embeddingScale: configuration["embedding_scale"]?.double ?? 1,
        hasNormWeights: configuration["norm_weights"]?.bool ?? true, gates: [])
  }

  /// Why a format made of LLaMA's fields cannot hold ``llamaAdditions``; `nil` without any.
  var additionRefusal: String? {
    llamaAdditions.map {
      "the model has \($0), which the format has no words for; use --format herd"
    }
  }
}
