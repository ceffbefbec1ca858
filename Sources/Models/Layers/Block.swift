import Numerics

/// One block: mixer and MLP, each after an RMSNorm and added to the residual stream.
public final class Block {
  /// The token mixer.
  public let mixer: any TokenMixer
  /// The position-wise part.
  public let mlp: any FeedForward
  private let mixerNorm: Parameter
  private let mlpNorm: Parameter
  private let epsilon: Double

  /// - Parameter prefix: The block's place, such as `model.layers.0`.
  init(
    _ configuration: BlockConfiguration, prefix: String, epsilon: Double, store: ParameterStore,
    in context: Context
  ) throws(ModelError) {
    self.epsilon = epsilon
    mixerNorm = try store.take("\(prefix).input_layernorm.weight")
    mlpNorm = try store.take("\(prefix).post_attention_layernorm.weight")
    switch configuration.mixer {
    case .attention(let attention):
      mixer = try Attention(attention, prefix: "\(prefix).self_attn", store: store, in: context)
    }
    switch configuration.mlp {
    case .dense(let dense):
      mlp = try DenseMLP(prefix: "\(prefix).mlp", bias: dense.bias, store: store)
    case .mixture(let mixture):
      mlp = try MixtureMLP(mixture, prefix: "\(prefix).mlp", store: store)
    }
  }

  /// Every parameter, in a fixed order.
  public var parameters: [Parameter] {
    [mixerNorm] + mixer.parameters + [mlpNorm] + mlp.parameters
  }

  /// The residual stream after the mixer.
  public func mix(
    _ x_TD: Tensor, layout: SequenceLayout, state: (any MixerState)? = nil, in context: Context
  ) -> Tensor {
    mixer(x_TD, norm: norm(mixerNorm), layout: layout, state: state, in: context)
  }

  /// What the MLP sees of a residual stream that came from ``mix(_:layout:state:in:)``.
  public func mlpInput(_ mixed_TD: Tensor, in context: Context) -> Tensor {
    context.rmsNorm(mixed_TD, norm(mlpNorm))
  }

  /// The residual stream after the MLP, of one that came from ``mix(_:layout:state:in:)``.
  public func feedForward(_ mixed_TD: Tensor, in context: Context) -> (
    output: Tensor, routing: Routing?
  ) {
    mlp(mixed_TD, norm: norm(mlpNorm), in: context)
  }

  /// The residual stream after the whole block.
  public func callAsFunction(
    _ x_TD: Tensor, layout: SequenceLayout, state: (any MixerState)? = nil, in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    feedForward(mix(x_TD, layout: layout, state: state, in: context), in: context)
  }

  private func norm(_ gain: Parameter) -> RMSNorm {
    RMSNorm(weight_D: gain.tensor, epsilon: epsilon)
  }
}
