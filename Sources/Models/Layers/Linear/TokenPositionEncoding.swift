import Numerics

/// TPE, the position encoding of embeddings that cosFormer2 has (Shen et al. 2024, arXiv 2406.16690,
/// after Qin et al. 2024, "LightNet", arXiv 2405.21022), in the form of xmixers: a linear attention
/// whose values are the embeddings and whose queries and keys are parameters, the same for all tokens.
///
///     S_t = sigmoid(decay) · S_(t-1) + keyᵀ x_t        y_t = x_t + RMSNorm(query S_t) W_o
///
/// per head, the norm within each head with one weight for all of them.
final class TokenPositionEncoding {
  private let heads: Int
  private let query: Parameter
  private let key: Parameter
  private let decay: Parameter
  private let norm: Parameter
  private let output: LinearProjection
  private let epsilon: Double
  private let stateType: DType

  /// - Parameters:
  ///   - heads: Heads, each with a decay of its own.
  ///   - epsilon: ε of the norm.
  init(heads: Int, epsilon: Double, store: ParameterStore) throws(ModelError) {
    self.heads = heads
    self.epsilon = epsilon
    stateType = store.computeType
    let prefix = ParameterName.positionEncoding
    query = try store.take("\(prefix).shrink")
    key = try store.take("\(prefix).expand")
    decay = try store.take("\(prefix).decay")
    norm = try store.take("\(prefix).o_norm.weight")
    output = try LinearProjection("\(prefix).o_proj", bias: false, store)
  }

  var parameters: [Parameter] { [query, key, decay, norm] + output.parameters }

  /// Embeddings, `[T, D]`, with their positions.
  ///
  /// - Parameter state: What earlier tokens of the one document being decoded left behind; updated.
  func callAsFunction(
    _ x_TD: Tensor, layout: SequenceLayout, state: LinearState?, in context: Context
  ) -> Tensor {
    let log_1H = context.decayGate(decay.tensor.reshaped([1, heads])).logDecay
    let input = LinearInput(
      query: query.rows(like: x_TD, in: context), key: key.rows(like: x_TD, in: context),
      value: x_TD, decay: .constant(slopes_H: context.scaled(log_1H, by: -1).reshaped([heads])))
    let mixed_TD = input.mixed(heads: heads, scale: 1, layout: layout, state: state, in: context)
    let byHead = mixed_TD.reshaped([mixed_TD.rows * heads, norm.value.count])
    let normed_TD = context.rmsNorm(byHead, weight: norm.tensor, epsilon: epsilon)
      .reshaped(mixed_TD.shape)
    return context.linear(normed_TD, output.map, addedTo: x_TD)
  }

  func makeState(in context: Context) -> LinearState {
    let dimension = norm.value.count
    return LinearState(
      context.zeros([1, heads, dimension, dimension], stateType), window: nil)
  }
}

extension ModelConfiguration {
  /// The parameters of TPE, under their own names; none without.
  var positionEncodingBindings: [TensorBinding] {
    guard let heads = positionEncodingHeads else { return [] }
    let prefix = ParameterName.positionEncoding
    return [
      TensorBinding("\(prefix).shrink", [hiddenSize]),
      TensorBinding("\(prefix).expand", [hiddenSize]), TensorBinding("\(prefix).decay", [heads]),
      TensorBinding("\(prefix).o_norm.weight", [hiddenSize / heads]),
      TensorBinding("\(prefix).o_proj.weight", [hiddenSize, hiddenSize]),
    ]
  }

  /// Why embeddings cannot have TPE, and what works; `nil` when they can, or have none.
  public var positionEncodingRefusal: String? {
    guard let heads = positionEncodingHeads else { return nil }
    guard heads > 0, hiddenSize % heads == 0, hiddenSize / heads <= 256 else {
      return
        "tpe needs heads that divide the hidden size of \(hiddenSize) into at most 256 channels each, not \(heads)"
    }
    guard !linearMixers.isEmpty else {
      return "tpe goes with linear attention, and all layers are softmax; leave tpe out"
    }
    return nil
  }
}
