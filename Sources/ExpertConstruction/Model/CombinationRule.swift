/// How the outputs of the chosen experts are added up.
public enum CombinationRule: String, CaseIterable, Sendable {
  /// Weight `1 + p·u`: `p` is the softmax over all routed experts, `u` is trained from 0 (CMoE).
  case gained
  /// Softmax over the chosen experts, times a scale (LLaMA-MoE-v2).
  case renormalizedSoftmax = "renormalized_softmax"
  /// Softmax over all routed experts, times a scale.
  case softmax
  /// The sigmoid of the expert's score, times a scale; experts are chosen by it too.
  case sigmoid
  /// The sigmoid over the sum of the chosen experts' sigmoids, times a scale (DeepSeek-V3).
  case renormalizedSigmoid = "renormalized_sigmoid"

  /// Whether scores are sigmoids.
  public var isOfSigmoids: Bool { self == .sigmoid || self == .renormalizedSigmoid }
}
