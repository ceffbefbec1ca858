import Formats
import Models
import Numerics

extension Densification {
  /// The ledger, when it is there and the bytes still agree with it, and what was found then.
  static func ledger(
    _ loader: ModelLoader
  ) throws -> (ledger: ByteLedger, verification: LedgerVerification)? {
    let path = "\(loader.checkpoint.folder)/\(ByteLedger.fileName)"
    guard Files.exists(path) else { return nil }
    let ledger = try ByteLedger(contentsOf: path)
    let isWhole = ledger.source.allSatisfy {
      DenseSource.place(of: $0.name) != nil || loader.checkpoint[$0.name] != nil
    }
    guard isWhole else { return nil }
    if let note = ledger.neuronNote, !ledger.holdsWholeCopies {
      throw ConstructionError(
        .refused,
        "\(loader.checkpoint.folder) does not hold its dense source: \(note); a dense model of its "
          + "experts would be another function")
    }
    let verification = try LedgerVerification(loader.checkpoint, ledger)
    return verification.isExact ? (ledger, verification) : nil
  }

  /// The units that a layer's dense MLP is made of: of whole copies the first.
  static func neurons(
    _ loader: ModelLoader, _ layer: Int, _ ledger: ByteLedger?
  ) throws -> LayerNeurons {
    let split = ledger?.split(ofLayer: layer)
    var neurons = try loader.neurons(ofLayer: layer, split)
    if split != nil, ledger?.holdsWholeCopies == true { neurons.units.removeSubrange(1...) }
    return neurons
  }

  /// The width of the dense MLPs, the same in every layer.
  static func width(
    _ loader: ModelLoader, _ configuration: ConfigurationFile, _ ledger: ByteLedger?
  ) throws -> Int {
    let strategy = configuration["herd"]?["construction"]?["strategy"]?.string ?? ""
    if ledger == nil, StrategyName(rawValue: strategy)?.makesCopies == true {
      throw ConstructionError(
        .refused,
        "its experts were made by \(strategy) as copies of the dense MLP and are not all the same now, "
          + "so there is no dense MLP that they make together")
    }
    let model = loader.layout.configuration
    let widths = try model.blocks.indices.map {
      try neurons(loader, $0, ledger).count
    }
    let width = widths.first ?? 0
    if let layer = widths.firstIndex(where: { $0 != width }) {
      throw ConstructionError(
        .refused,
        "layer 0 would have \(width) neurons and layer \(layer) \(widths[layer]); a dense model has "
          + "one width, so this mixture stays one")
    }
    if strategy.hasPrefix("sharing-") {
      throw ConstructionError(
        .refused,
        "its experts were made by \(strategy) and may overlap, and a neuron in two experts would "
          + "count twice")
    }
    // Herd's own format remembers the dense width.
    if try configuration.string("model_type") == "herd" {
      let dense = try configuration.positive("intermediate_size")
      guard width <= dense else {
        throw ConstructionError(
          .refused,
          "the experts hold \(width) neurons where the dense MLP had \(dense): they overlap, and a "
            + "neuron in two experts would count twice")
      }
    }
    return width
  }

  /// Refuses shared experts whose gate was trained.
  static func checkGates(_ loader: ModelLoader) throws {
    for (layer, block) in loader.layout.configuration.blocks.enumerated() {
      guard case .mixture(let mixture) = block.mlp, mixture.sharedGate,
        try !loader.hasZeroGate(block.mlp, layer: layer)
      else { continue }
      throw ConstructionError(
        .refused,
        "layer \(layer): the shared expert passes a sigmoid gate that depends on the token, which a "
          + "dense MLP cannot")
    }
  }

  /// Refuses experts that do not enter with weight one.
  static func checkWeights(_ loader: ModelLoader) throws {
    for (layer, block) in loader.layout.configuration.blocks.enumerated() {
      if case .mixture(let mixture) = block.mlp {
        try check(
          mixture.combination, topK: mixture.topK, folded: mixture.foldedScale,
          gain: "\(ParameterName.mlp(layer)).router.gain", experts: mixture.experts, "MLP", layer,
          loader)
      }
      if case .attention(let attention) = block.mixer, let mixture = attention.mixture {
        try check(
          mixture.combination, topK: mixture.topK, folded: mixture.foldedScale,
          gain: "\(ParameterName.block(layer)).self_attn.router.gain", experts: mixture.experts,
          "attention", layer, loader)
      }
    }
  }

  private static func check(
    _ combination: Combination, topK: Int, folded: Double, gain: String, experts: Int,
    _ part: String, _ layer: Int, _ loader: ModelLoader
  ) throws {
    switch combination {
    case .gained where try loader.isZero(gain, count: experts): return
    case .renormalizedSoftmax(let scale) where topK == 1 && scale * folded == 1: return
    default: break
    }
    throw ConstructionError(
      .refused,
      "layer \(layer): the experts of its \(part) do not enter with weight one, so a dense model is "
        + "another function; give --weights-as-one to put them side by side all the same")
  }

  /// What a dense model cannot hold, in one line.
  /// - Parameter rewritten: Matrices of the source that recovery rewrote.
  static func losses(_ loader: ModelLoader, rewritten: Int) -> String {
    let shapes = loader.layout.configuration.parameterShapes
    var parts: [String] = []
    for (ending, name) in [
      (".router.weight", "routers"), (".router.bias", "router biases"),
      (".router.gain", "gains"), (".router.selection_bias", "balancing biases"),
      (".router.up_weight", "second router rows"), (".router.noise_weight", "noise weights"),
      (".router.hidden_weight", "hidden router layers"),
      (".shared_expert_gate.weight", "shared gates"), (".mlp.bias", "output biases"),
    ] {
      let count = shapes.filter { $0.name.hasSuffix(ending) }.count
      if count > 0 { parts.append("\(count) \(name)") }
    }
    let thresholds = loader.layout.configuration.blocks.count {
      if case .mixture(let mixture) = $0.mlp { mixture.scoreThreshold != nil } else { false }
    }
    if thresholds > 0 { parts.append("\(thresholds) score thresholds") }
    if rewritten > 0 { parts.append("\(rewritten) source matrices that recovery rewrote") }
    return "lost: \(parts.joined(separator: ", ")); neurons are in the order of the experts"
  }

  /// The element type of a dense tensor.
  static func type(of tensor: String, _ loader: ModelLoader) throws -> ElementType {
    guard let (layer, projection) = DenseSource.place(of: tensor) else {
      return try loader.storedType(of: tensor)
    }
    let units = try loader.neurons(ofLayer: layer).units
    let types = try Set(units.map { try loader.storedType(of: $0.parameters[projection] ?? "") })
    guard let type = types.first, types.count == 1, [.bf16, .f16, .f32].contains(type) else {
      throw ConstructionError(
        .refused, "\(tensor) would be made of \(types.count) element types; save the model in one")
    }
    return type
  }
}
