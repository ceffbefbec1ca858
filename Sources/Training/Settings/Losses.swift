/// Weights of the terms of the training loss.
public struct Losses: Sendable, Equatable {
  /// How the balance terms of several layers become one.
  public enum LayerReduction: String, Sendable, CaseIterable {
    case mean, sum
  }

  /// The tokens on which a teacher is followed.
  public enum DistilledTokens: String, Sendable, CaseIterable {
    /// Those whose targets count in the cross-entropy.
    case loss
    /// Every token of the text: the teacher's distribution is known on all of them.
    case all
  }

  /// Weight of the cross-entropy with the data.
  public var crossEntropy = 1.0
  /// Weight of KL(teacher ‖ student).
  public var distillation = 0.0
  /// Over which tokens the divergence is averaged.
  public var distillationOver = DistilledTokens.loss
  /// Weight of the alignment of hidden states with the teacher's.
  public var hiddenAlignment = 0.0
  /// Weight of the alignment of what each mixture adds with what the teacher's part there adds, each
  /// given the teacher's hidden state.
  public var localAlignment = 0.0
  /// α of the load-balancing loss α·E·Σ f_e·P_e.
  public var loadBalance = 0.01
  /// Whether the balance terms of the layers are summed or averaged.
  public var balanceOver = LayerReduction.sum
  /// Weight of the router z-loss, averaged over layers.
  public var routerZ = 0.0
  /// Step of the selection biases in auxiliary-loss-free balancing; 0 leaves them alone.
  public var selectionBiasRate = 0.0

  /// The defaults: cross-entropy and a light balance loss.
  public init() {}

  /// Whether a teacher is needed.
  public var needsTeacher: Bool {
    distillation > 0 || hiddenAlignment > 0 || localAlignment > 0
  }

  /// Whether a term looks at what the whole model makes of a text.
  public var trainsEndToEnd: Bool { crossEntropy > 0 || distillation > 0 || hiddenAlignment > 0 }
}
