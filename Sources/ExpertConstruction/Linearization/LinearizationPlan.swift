import Formats
import Models
import Numerics

/// What becomes of every tensor of a model whose softmax attention becomes lightning attention, decided
/// before anything but headers is read: the layer of HALO (Chen et al. 2026, arXiv 2601.22156), with
/// the weights of the softmax layer.
public struct LinearizationPlan: Sendable {
  /// What becomes of a source tensor.
  public enum Fate: Equatable, Sendable {
    /// Written under its own name.
    case copied
    /// Every head of its rows written as often as query heads share it.
    case repeated(HeadCopies)
  }

  /// The source's `config.json`.
  public let source: ConfigurationFile
  /// What was asked for.
  public let settings: LinearizationSettings
  /// The model to be written.
  public let model: ModelConfiguration
  /// Layers that become linear, ascending.
  public let linear: [Int]
  /// Layers whose softmax attention stays, ascending.
  public let kept: [Int]
  /// What becomes of each source tensor, in file order.
  public let fates: [(tensor: TensorDescription, fate: Fate)]
  /// What the source has not.
  public let created: [NewParameter]
  /// Decisions the user did not make, one line each.
  public let notes: [String]

  /// Families whose attention is LLaMA's.
  static let families = ["llama", "mistral", "herd"]

  /// Plans the move of a checkpoint.
  /// - Throws: ``ConstructionError`` with the reason and what would work.
  public init(
    configuration: ConfigurationFile, checkpoint: Checkpoint, _ settings: LinearizationSettings
  ) throws {
    if let refusal = settings.mixerRefusal { throw ConstructionError(.refused, refusal) }
    let type = try configuration.string("model_type")
    guard Self.families.contains(type) else {
      throw ConstructionError(
        .refused,
        "\(configuration.path): the attention of model_type \"\(type)\" cannot be made linear here; "
          + "use a checkpoint of \(Self.families.joined(separator: ", "))")
    }
    let loader = try ModelLoader(
      layout: CheckpointLayouts.layout(for: configuration), checkpoint: checkpoint)
    var model = loader.layout.configuration
    let layers = model.blocks.count
    kept = try Self.kept(settings, of: layers)
    let stays = Set(kept)
    linear = (0..<layers).filter { !stays.contains($0) }
    var copies: [String: HeadCopies] = [:]
    for layer in 0..<layers {
      let attention = try Self.attention(of: model, layer, configuration.path)
      if stays.contains(layer) {
        model.blocks[layer].mixer = .attention(settings.kept(attention, of: model))
        continue
      }
      model.blocks[layer].mixer = .linear(
        try settings.mixer(for: attention, layer: layer, layers: layers, configuration.path))
      let group = attention.heads / attention.keyHeads
      guard group > 1, !settings.sharesKeys else { continue }
      for name in ["k_proj", "v_proj"] {
        copies["\(ParameterName.block(layer)).self_attn.\(name).weight"] = HeadCopies(
          rows: attention.headDimension, times: group)
      }
    }
    guard model.residual == nil || settings.residualAlpha == nil else {
      throw ConstructionError(
        .refused,
        "\(configuration.path): its residual connections have factors already; leave --residual-alpha out"
      )
    }
    model.residual = settings.residual(of: model)
    self.model = model
    fates = checkpoint.tensors.map {
      ($0, copies[$0.name].map { .repeated($0) } ?? .copied)
    }
    let old = Set(loader.layout.configuration.parameterShapes.map(\.name))
    created = try model.parameterShapes.filter { !old.contains($0.name) }.map { shape in
      let parts = shape.name.split(separator: ".")
      let layer = parts.count > 2 ? Int(parts[2]) ?? 0 : 0
      let isNorm = shape.name.hasSuffix("norm.weight")
      let block = ParameterName.block(layer)
      let projection = try checkpoint.tensor("\(block).self_attn.q_proj.weight")
      let norm = isNorm ? checkpoint["\(block).input_layernorm.weight"] : nil
      return NewParameter(
        tensor: TensorDeclaration(
          name: shape.name, elementType: (norm ?? projection).elementType, shape: shape.shape),
        values: isNorm ? .ones : .normal(deviation: NewParameter.gateDeviation))
    }
    for type in Set(created.map(\.tensor.elementType)) where ![.bf16, .f16, .f32].contains(type) {
      throw ConstructionError(
        .refused,
        "\(checkpoint.folder): weights are \(type.rawValue); use a checkpoint in BF16, F16 or F32")
    }
    source = configuration
    self.settings = settings
    notes = Self.notes(settings, kept, loader.layout.configuration)
  }

  /// The softmax attention of a layer, or why it is none that could become linear.
  private static func attention(
    of model: ModelConfiguration, _ layer: Int, _ path: String
  ) throws(ConstructionError) -> AttentionConfiguration {
    guard case .attention(let attention) = model.blocks[layer].mixer else {
      throw ConstructionError(
        .refused,
        "\(path): layer \(layer) is linear already; give the checkpoint with softmax attention that "
          + "this one was made from")
    }
    if let mixture = attention.mixture {
      throw ConstructionError(
        .refused,
        "\(path): the attention of layer \(layer) is made of experts (\(mixture.kind.rawValue)); "
          + "convert with --attention none, which can be made linear before or after")
    }
    return attention
  }

  private static func kept(
    _ settings: LinearizationSettings, of layers: Int
  ) throws(ConstructionError) -> [Int] {
    if case .share(let share) = settings.kept, !(share > 0 && share < 1) {
      throw ConstructionError(
        .refused,
        "a share of \(share) of the layers cannot stay softmax; give one between 0 % and 100 %, or none"
      )
    }
    let kept = settings.kept.layers(of: layers)
    if let wrong = kept.first(where: { !(0..<layers).contains($0) }) {
      throw ConstructionError(
        .refused, "layer \(wrong) cannot stay softmax: the model has layers 0 to \(layers - 1)")
    }
    guard kept.count < layers else {
      throw ConstructionError(
        .refused, "all \(layers) layers would stay softmax; keep fewer, so that some become linear")
    }
    return kept
  }

  private static func notes(
    _ settings: LinearizationSettings, _ kept: [Int], _ source: ModelConfiguration
  ) -> [String] {
    var notes: [String] = []
    if settings.isProvisional {
      notes.append("which layers stay softmax is measured; shown are as many, evenly spread")
    }
    if kept.isEmpty, settings.window == nil {
      notes.append(
        "no layer stays softmax: recall over long texts is lost with the last of them (HALO, table of "
          + "layer choices); --window 64 keeps what is near")
    }
    let hasWindow = source.blocks.contains {
      if case .attention(let attention) = $0.mixer { attention.window != nil } else { false }
    }
    if settings.mixer == .minimax, source.residual == nil {
      notes.append(
        "residual connections start behind the norms in every block, as MiniMax-01's: layers that stay "
          + "softmax compute another function too, until the model is trained")
    }
    if hasWindow { notes.append("linear layers look back without the sliding window") }
    return notes
  }

  /// Every tensor to be written, in file order, new ones behind.
  var outputs: [TensorDeclaration] {
    fates.map { tensor, fate in
      var shape = tensor.shape
      if case .repeated(let copies) = fate { shape[0] *= copies.times }
      return TensorDeclaration(name: tensor.name, elementType: tensor.elementType, shape: shape)
    } + created.map(\.tensor)
  }

  /// The `config.json` to be written.
  func configuration() throws -> ConfigurationFile {
    var config = source
    let old = try source.optionalSection("herd")
    var herd: JSONObject = [
      "format_version": 1,
      "base_model_type": try old?.optionalString("base_model_type").map { JSON($0) }
        ?? JSON(source.string("model_type")),
      "blocks": .array(model.blocks.map { ["mixer": $0.mixer.json, "mlp": $0.mlp.json] }),
    ]
    if let construction = old?["construction"] { herd["construction"] = construction }
    herd["linearization"] = settings.provenance
    config["architectures"] = ["HerdForCausalLM"]
    config["model_type"] = "herd"
    config["herd"] = .object(herd)
    HerdLayout.setAdditions(of: model, in: &config.object)
    return config
  }
}

extension LinearizationSettings {
  /// A softmax layer that stays, with what hybrids add to it.
  fileprivate func kept(
    _ attention: AttentionConfiguration, of model: ModelConfiguration
  ) -> AttentionConfiguration {
    var attention = attention
    if !softmaxPositions { attention.hasPositions = false }
    if softmaxGate { attention.hasOutputGate = true }
    if let softmaxLogScale {
      attention.logScale = LogLengthScale(
        base: softmaxLogScale, positions: model.maximumPositions)
    }
    return attention
  }

  /// The residual connections of the model: those it has, unless its layers become MiniMax-01's.
  fileprivate func residual(of model: ModelConfiguration) -> NormalizedResidual? {
    guard mixer == .minimax, model.residual == nil else { return model.residual }
    guard let residualAlpha else { return .deepNorm(layers: model.blocks.count) }
    var residual = NormalizedResidual()
    residual.attention.alpha = residualAlpha
    residual.linear.alpha = residualAlpha
    residual.mlp.alpha = residualAlpha
    return residual
  }

  /// The linear layer that takes the place of a softmax one: its weights and a constant decay per head;
  /// HALO's with norms of queries and keys and its rotary positions; norm and gate behind it.
  fileprivate func mixer(
    for attention: AttentionConfiguration, layer: Int, layers: Int, _ path: String
  ) throws(ConstructionError) -> LinearMixerConfiguration {
    guard !attention.inputBias, !attention.outputBias else {
      throw ConstructionError(
        .refused,
        "\(path): the projections of layer \(layer) have biases, which linear layers have not; use a "
          + "checkpoint without attention biases")
    }
    let linear =
      mixer == .minimax
      ? .minimax(
        heads: attention.heads, dimension: attention.headDimension, layer: layer, layers: layers)
      : lightning(attention, layer: layer, layers: layers)
    if let refusal = linear.refusal {
      throw ConstructionError(
        .refused, "\(path): layer \(layer) cannot become linear: \(refusal)")
    }
    return linear
  }

  private func lightning(
    _ attention: AttentionConfiguration, layer: Int, layers: Int
  ) -> LinearMixerConfiguration {
    let group = attention.heads / attention.keyHeads
    let rates =
      sharesKeys
      ? slopes.values(heads: attention.keyHeads, layer: layer, layers: layers)
        .flatMap { Array(repeating: $0, count: group) }
      : slopes.values(heads: attention.heads, layer: layer, layers: layers)
    return LinearMixerConfiguration(
      heads: attention.heads, keyHeads: sharesKeys ? attention.keyHeads : attention.heads,
      keyDimension: attention.headDimension,
      decay: .fixed(family: slopes.rawValue, slopes: rates), queryKeyNorm: true,
      positions: attention.hasPositions ? .rope(attention.rope) : .none, scale: attention.scale,
      outputNorm: .full, gate: .init(activation: .sigmoid), window: window)
  }

  /// How the model was made, as its configuration records it.
  var provenance: JSON {
    [
      "mixer": JSON(mixer.rawValue), "slopes": JSON(slopes.rawValue),
      "share_keys": JSON(sharesKeys), "window": window.map { JSON($0) } ?? .null,
      "seed": JSON("\(seed)"),
    ]
  }
}
