import Numerics

extension AttentionConfiguration {
  /// The mixer of this configuration, dense or a mixture.
  ///
  /// - Parameter prefix: The mixer's place, such as `model.layers.0.self_attn`.
  func mixer(prefix: String, store: ParameterStore, in context: Context) throws(ModelError)
    -> any TokenMixer
  {
    let weights = try AttentionWeights(self, prefix: prefix, store: store, in: context)
    guard let mixture else { return Attention(weights) }
    if let refusal = mixture.refusal(self) { throw ModelError("\(prefix): \(refusal)") }
    let router = try ExpertRouter(
      "\(prefix).router", experts: mixture.experts, topK: mixture.topK,
      combination: mixture.combination, hasBias: mixture.routerBias,
      hasSelectionBias: mixture.selectionBias, foldedScale: mixture.foldedScale, store: store)
    let expertOfHead = mixture.expertOfHead(self)
    return switch mixture.kind {
    case .heads, .moa:
      HeadMixtureAttention(weights, router: router, expertOfHead: expertOfHead, in: context)
    case .keyGroup:
      GroupMixtureAttention(weights, router: router, expertOfHead: expertOfHead, in: context)
    }
  }

  /// A mixer on its own, from parameters named as in `prefix`; none may be left over.
  public func mixer(prefix: String, parameters: [Parameter], in context: Context)
    throws(ModelError) -> any TokenMixer
  {
    let isDouble = parameters.contains { $0.value.dtype == .f64 }
    let store = ParameterStore(parameters, computeType: isDouble ? .f64 : .f32)
    let mixer = try mixer(prefix: prefix, store: store, in: context)
    try store.checkEmpty()
    return mixer
  }
}
