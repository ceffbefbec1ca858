import Numerics

/// Tensors every LLaMA-shaped checkpoint has, in file order.
extension ModelConfiguration {
  /// All bindings, with the MLP's given per layer, and those of softmax or linear mixers where they
  /// have names of their own.
  func bindings(
    mixer: ((Int, AttentionConfiguration) -> [TensorBinding])? = nil,
    linear: ((Int, LinearMixerConfiguration) -> [TensorBinding])? = nil,
    mlp: (Int, MLPConfiguration) -> [TensorBinding]
  ) -> [TensorBinding] {
    var result = [TensorBinding(ParameterName.embedding, [vocabularySize, hiddenSize])]
    if let shape = lowerBoundShape {
      result.append(TensorBinding(ParameterName.lowerBounds, shape))
    }
    result += positionEncodingBindings
    func norm(_ name: String) -> [TensorBinding] {
      hasNormWeights ? [TensorBinding(name, [hiddenSize])] : []
    }
    for (layer, block) in blocks.enumerated() {
      let prefix = ParameterName.block(layer)
      result += norm("\(prefix).input_layernorm.weight")
      switch block.mixer {
      case .attention(let attention):
        result += mixer?(layer, attention) ?? mixerBindings(layer: layer, attention)
      case .linear(let configuration):
        result +=
          linear?(layer, configuration) ?? linearBindings(layer: layer, configuration)
      }
      result += norm("\(prefix).post_attention_layernorm.weight")
      result += mlp(layer, block.mlp)
    }
    result += norm(ParameterName.finalNorm)
    if !tiedEmbeddings {
      result.append(TensorBinding(ParameterName.head, [vocabularySize, hiddenSize]))
    }
    return result
  }

  /// The projections of attention, and its router where it is a mixture, under the names of their
  /// parameters.
  func mixerBindings(layer: Int, _ attention: AttentionConfiguration) -> [TensorBinding] {
    let prefix = "\(ParameterName.block(layer)).self_attn"
    let projections = attentionBindings(attention, prefix: prefix)
    guard let mixture = attention.mixture else { return projections }
    return projections
      + routerBindings(
        "\(prefix).router", experts: mixture.experts, mixture.combination,
        bias: mixture.routerBias, selectionBias: mixture.selectionBias)
  }

  private func attentionBindings(_ attention: AttentionConfiguration, prefix: String)
    -> [TensorBinding]
  {
    let queries = attention.heads * attention.headDimension
    let keys = attention.keyHeads * attention.headDimension
    var result: [TensorBinding] = []
    for (name, rows) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
      result.append(TensorBinding("\(prefix).\(name).weight", [rows, hiddenSize]))
      if attention.inputBias { result.append(TensorBinding("\(prefix).\(name).bias", [rows])) }
    }
    result.append(TensorBinding("\(prefix).o_proj.weight", [hiddenSize, queries]))
    if attention.outputBias { result.append(TensorBinding("\(prefix).o_proj.bias", [hiddenSize])) }
    if attention.hasOutputGate {
      result.append(TensorBinding("\(prefix).g_proj.weight", [queries, hiddenSize]))
    }
    if attention.normalizesHeads {
      for name in ["q_norm", "k_norm"] {
        result.append(TensorBinding("\(prefix).\(name).weight", [attention.headDimension]))
      }
    }
    return result
  }

  /// The three matrices of a dense MLP under their LLaMA names.
  func denseBindings(layer: Int, _ dense: DenseConfiguration) -> [TensorBinding] {
    let prefix = ParameterName.mlp(layer)
    let sizes = [
      ("gate_proj", dense.width, hiddenSize), ("up_proj", dense.width, hiddenSize),
      ("down_proj", hiddenSize, dense.width),
    ]
    return sizes.flatMap { name, rows, columns in
      [TensorBinding("\(prefix).\(name).weight", [rows, columns])]
        + (dense.bias ? [TensorBinding("\(prefix).\(name).bias", [rows])] : [])
    }
  }

  /// One tensor per expert and matrix: expert `e` of `gate`, `up`, `down` under the given names.
  func expertBindings(
    layer: Int, _ mixture: MixtureConfiguration,
    name: (_ expert: Int, _ matrix: ExpertMatrix) -> String
  ) -> [TensorBinding] {
    (0..<mixture.experts).flatMap { expert in
      ExpertMatrix.allCases.map { matrix in
        let count = mixture.expertWidth * hiddenSize
        return TensorBinding(
          name(expert, matrix), matrix.shape(width: mixture.expertWidth, hidden: hiddenSize),
          parts: [
            .init(
              parameter: "\(ParameterName.mlp(layer)).experts.\(matrix.rawValue)",
              offset: expert * count, count: count)
          ])
      }
    }
  }

  /// The router of a mixture MLP.
  func routerBindings(layer: Int, _ mixture: MixtureConfiguration) -> [TensorBinding] {
    let prefix = "\(ParameterName.mlp(layer)).router"
    let isDeep = mixture.routerKind == .tanhPair
    let isPair = [.gatedPair, .lengthPair].contains(mixture.routerKind)
    let perInput = [
      ("hidden_weight", isDeep, 1), ("up_weight", isPair, mixture.routerRank),
      ("noise_weight", mixture.noiseWeight, 1),
    ]
    return routerBindings(
      prefix, experts: mixture.experts, rank: mixture.routerRank,
      inputs: isDeep ? mixture.experts : hiddenSize, mixture.combination,
      bias: mixture.routerBias, selectionBias: mixture.selectionBias)
      + perInput.filter(\.1).map {
        TensorBinding("\(prefix).\($0.0)", [mixture.experts * $0.2, hiddenSize])
      }
  }

  /// A router with the biases and gains it has, under the names of its parameters.
  private func routerBindings(
    _ prefix: String, experts: Int, rank: Int = 1, inputs: Int? = nil, _ combination: Combination,
    bias: Bool,
    selectionBias: Bool
  ) -> [TensorBinding] {
    let perExpert = [
      ("bias", bias), ("selection_bias", selectionBias), ("gain", combination == .gained),
    ]
    return [TensorBinding("\(prefix).weight", [experts * rank, inputs ?? hiddenSize])]
      + perExpert.filter(\.1).map { TensorBinding("\(prefix).\($0.0)", [experts]) }
  }

  /// The bias on a mixture's output, if it has one.
  func outputBiasBindings(layer: Int, _ mixture: MixtureConfiguration) -> [TensorBinding] {
    mixture.outputBias
      ? [TensorBinding("\(ParameterName.mlp(layer)).bias", [hiddenSize])] : []
  }

  /// The shared neurons of a mixture, under the names of their parameters.
  func sharedBindings(
    layer: Int, _ mixture: MixtureConfiguration
  ) -> [TensorBinding] {
    guard mixture.sharedWidth > 0 else { return [] }
    return ExpertMatrix.allCases.map { matrix in
      TensorBinding(
        "\(ParameterName.mlp(layer)).shared_expert.\(matrix.rawValue).weight",
        matrix.shape(width: mixture.sharedWidth, hidden: hiddenSize))
    }
  }
}

/// The three matrices of a SwiGLU expert; raw values are their parameter names.
enum ExpertMatrix: String, CaseIterable {
  case gate = "gate_proj"
  case up = "up_proj"
  case down = "down_proj"

  /// `[width, hidden]`, transposed for `down`.
  func shape(width: Int, hidden: Int) -> [Int] {
    self == .down ? [hidden, width] : [width, hidden]
  }
}
