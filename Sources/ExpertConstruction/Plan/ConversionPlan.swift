import Formats

/// A conversion decided in every detail before anything is read or written but headers.
public struct ConversionPlan: Sendable {
  /// What becomes of a source tensor.
  public enum Fate: Equatable, Sendable {
    /// Written under its own name.
    case copied
    /// Its neurons are divided among the experts of a layer.
    case divided(layer: Int, Projection)
  }

  /// The dense checkpoint.
  public let source: DenseSource
  /// What was asked for.
  public let settings: ConversionSettings
  /// The model to be written.
  public let model: MixtureModel
  /// The one kind of block that all converted layers get; `nil` when MLPs stay dense.
  public let block: MixtureBlock?
  /// What each layer's MLP becomes if it is converted, which may share other numbers of units.
  private let blocks: [MixtureBlock?]
  /// The layers whose MLPs are copied though others are converted.
  public let denseLayers: Set<Int>
  /// What becomes of attention; `nil` when it stays dense.
  public let attention: AttentionPlan?
  /// What becomes of each source tensor, in file order.
  public let fates: [(tensor: TensorDescription, fate: Fate)]
  /// Every tensor to be written.
  public let outputs: [TensorDeclaration]
  /// Decisions the user did not make, one line each.
  public let notes: [String]

  /// Plans the conversion of a dense checkpoint.
  /// - Throws: ``ConstructionError`` with the reason and the nearest setting that works.
  public init(_ source: DenseSource, _ settings: ConversionSettings) throws {
    guard !settings.keepsMLPs || settings.attention != nil else {
      throw ConstructionError(
        .refused, "nothing would become a mixture; give --strategy or --attention another value")
    }
    guard !settings.keepsMLPs || settings.recovery == .none else {
      throw ConstructionError(
        .refused,
        "recovery \(settings.recovery.rawValue) corrects MLPs, and they stay dense; give --strategy "
          + "another value, or --recovery none")
    }
    guard !settings.keepsMLPs || (settings.meanTopK == nil && !settings.searchesShared) else {
      throw ConstructionError(
        .refused,
        "\(settings.searchesShared ? "--shared auto" : "--mean-top-k") says nothing where --strategy "
          + "none leaves all MLPs dense; leave it out, or give --strategy another value")
    }
    let format = settings.format.make()
    var notes: [String] = []
    let attention = try settings.attention.map {
      try AttentionPlan(
        $0, source, usesText: settings.attentionUsesText,
        allowsBias: settings.formats.allSatisfy { $0.make().holdsRouterBias })
    }
    self.attention = attention
    let block = settings.keepsMLPs ? nil : try Self.block(source, settings, &notes)
    self.block = block
    let kept = try Self.denseLayers(source, settings)
    denseLayers = kept
    let mixture = block.flatMap { $0.geometry.form == .pruned ? nil : $0 }
    let width = block.flatMap { $0.geometry.form == .pruned ? $0.geometry.activeWidth : nil }
    if settings.searchesShared { try Self.checkSearch(settings) }
    let blocks = try Self.blocks(source, settings, block, skipping: kept)
    self.blocks = blocks
    model = MixtureModel(
      configuration: source.configuration, modelType: source.modelType, hidden: source.hidden,
      heads: source.heads, headDimension: source.headDimension,
      biasedProjections: source.biasedProjections,
      blocks: (0..<source.layers).map {
        kept.contains($0) || mixture == nil ? nil : blocks[$0]
      },
      denseWidths: (0..<source.layers).map {
        kept.contains($0) ? source.width : width ?? source.width
      },
      attention: attention.map { Array(repeating: $0.outline, count: source.layers) } ?? [],
      mixers: source.mixers, elementType: source.elementType,
      gainsAreZero: true, construction: settings.provenance)
    if let refusal = format.refusal(of: model) {
      throw ConstructionError(
        .refused, "--format \(settings.format.rawValue) cannot hold this model: \(refusal)")
    }
    guard !format.movesAttention else {
      throw ConstructionError(
        .refused,
        "--format \(settings.format.rawValue) is written by herd export, which puts attention "
          + "together from the pieces of a herd folder; convert with --format herd first")
    }
    try Self.checkExports(settings, model)
    fates = source.tensors.map {
      ($0, settings.keepsMLPs ? .copied : Self.fate(of: $0.name, denseLayers: kept))
    }
    let routers = attention.map { attention in
      (0..<source.layers).flatMap { attention.routerTensors($0, hidden: source.hidden) }
    }
    outputs =
      Self.outputs(fates, model, format) { layer in
        kept.contains(layer)
          ? nil
          : blocks[layer].map {
            MixtureShape(block: $0, hidden: source.hidden, elementType: source.elementType)
          }
      } + (routers ?? [])
    if settings.recovery != .none, settings.recovery != .affine {
      notes.append(
        "recovery \(settings.recovery.rawValue) rewrites down projections: their dense values are "
          + "not kept")
    }
    if settings.needsCalibration, !settings.hasCalibrationData {
      notes.append(
        "no --data: \(settings.calibrationTokens) calibration tokens are sampled from the dense "
          + "model, seed \(settings.seed)")
    }
    if settings.searchesShared, settings.sharedPerLayer == nil, let block {
      notes.append(
        "shared units are searched for each layer; this plan has \(block.geometry.shared) in all")
    }
    if settings.router == .centroid, !settings.needsCalibration, mixture != nil {
      notes.append("no --data: centroids are means of gate rows")
    }
    self.settings = settings
    self.source = source
    self.notes = notes
  }

  /// What decides the tensors of layer `index`'s MLP; `nil` when it is copied.
  func shape(ofLayer index: Int) -> MixtureShape? {
    denseLayers.contains(index)
      ? nil
      : blocks[index].map {
        MixtureShape(block: $0, hidden: source.hidden, elementType: source.elementType)
      }
  }

  /// The stock formats that can still hold the model when its router and gains are trained.
  public var formatsAfterTraining: [OutputFormat] {
    var trained = model
    trained.gainsAreZero = false
    let formats = model.mixers.isEmpty ? OutputFormat.ofSoftmax : OutputFormat.allCases
    return formats.filter {
      $0 != .herd && $0.make().refusal(of: trained) == nil
    }
  }

  /// Bytes of all tensors to be written.
  public var outputBytes: Int {
    outputs.reduce(0) { $0 + $1.shape.reduce(1, *) * $1.elementType.bitWidth / 8 }
  }

  /// Refuses to search for shared units where the strategy has none to choose, or layers that differ
  /// in them would have no place.
  private static func checkSearch(_ settings: ConversionSettings) throws(ConstructionError) {
    if let stock = settings.formats.first(where: { $0 != .herd }) {
      throw ConstructionError(
        .refused,
        "--shared auto lets layers differ, and \(stock.rawValue) has one setting for all; give a "
          + "number, or write herd's own format only")
    }
    let strategy = settings.strategy.make()
    guard strategy.sharedUnits != .optional || strategy.needsGradients || strategy.form == .pruned
    else { return }
    throw ConstructionError(
      .refused,
      "--shared auto cannot be searched for with --strategy \(settings.strategy.rawValue); give a "
        + "number")
  }

  /// The mixture of each layer, `nil` where the MLP stays dense.
  private static func blocks(
    _ source: DenseSource, _ settings: ConversionSettings, _ block: MixtureBlock?,
    skipping dense: Set<Int>
  ) throws -> [MixtureBlock?] {
    guard let block, let shared = settings.sharedPerLayer else {
      return Array(repeating: block, count: source.layers)
    }
    guard shared.count == source.layers else {
      throw ConstructionError(
        .refused, "\(shared.count) numbers of shared units for \(source.layers) layers")
    }
    return try shared.enumerated().map { layer, units in
      guard !dense.contains(layer) else { return nil }
      var own = settings
      let geometry = try block.geometry.sharing(units)
      (own.experts, own.topK, own.shared) = (geometry.experts, geometry.topK, units)
      var notes: [String] = []
      return try Self.block(source, own, &notes)
    }
  }

  /// The mixture that each MLP becomes; with shared units per layer, one of that many in all.
  private static func block(
    _ source: DenseSource, _ settings: ConversionSettings, _ notes: inout [String]
  ) throws -> MixtureBlock {
    let geometry = try geometry(source, settings)
    if settings.shared == nil, geometry.shared > 0 {
      notes.append(
        "no --shared: \(geometry.shared) shared units of \(geometry.expertWidth) neurons")
    }
    guard settings.recovery == .none || geometry.form == .partition else {
      throw ConstructionError(
        .refused,
        "recovery \(settings.recovery.rawValue) corrects experts that use each neuron once, and "
          + "strategy \(settings.strategy.rawValue) does not make such; use another strategy, or "
          + "--recovery none")
    }
    guard settings.meanTopK == nil || geometry.form != .pruned else {
      throw ConstructionError(
        .refused,
        "--mean-top-k says nothing where --strategy \(settings.strategy.rawValue) makes no experts; "
          + "leave it out")
    }
    if geometry.form == .pruned {
      return MixtureBlock(geometry: geometry, rule: .gained, scale: 1, hasRouterBias: false)
    }
    if let refusal = settings.recovery.make()?.refusal(of: geometry) {
      throw ConstructionError(.refused, refusal)
    }
    let (rule, scale) = combination(settings, geometry, &notes)
    if geometry.form == .copied, let refusal = settings.refusalOfCopies(rule) {
      throw ConstructionError(.refused, refusal)
    }
    let router = settings.router.make()
    let wantsBias = router.usesBias(withInputs: settings.needsCalibration)
    let withoutBias = settings.formats.first { !$0.make().holdsRouterBias }
    if router.needsBias, let withoutBias {
      throw ConstructionError(
        .refused,
        "the router \(settings.router.rawValue) ranks experts by biases, which "
          + "\(withoutBias.rawValue) has not; use another --router, or --format herd")
    }
    if wantsBias, let withoutBias {
      notes.append("\(withoutBias.rawValue) has no router bias; the router is made without")
    }
    if let mean = settings.meanTopK {
      guard mean >= 1, mean <= Double(geometry.topK) else {
        throw ConstructionError(
          .refused, "a mean of \(mean) experts; --mean-top-k must be between 1 and --top-k")
      }
      guard rule != .renormalizedSoftmax, rule != .renormalizedSigmoid else {
        throw ConstructionError(
          .refused,
          "weights of \(rule.rawValue) sum to one however many experts there are; with --mean-top-k "
            + "use --combination gained, softmax or sigmoid")
      }
    }
    return MixtureBlock(
      geometry: geometry, rule: rule, scale: scale,
      hasRouterBias: wantsBias && withoutBias == nil, routerKind: router.kind,
      routerRank: router.rank(expertWidth: geometry.expertWidth),
      scoreThreshold: settings.meanTopK.map { _ in 0 },
      hasOutputBias: settings.recovery.make()?.addsBias ?? false)
  }

  private static func geometry(
    _ source: DenseSource, _ settings: ConversionSettings
  ) throws(ConstructionError) -> SplitGeometry {
    let (name, strategy) = (settings.strategy.rawValue, settings.madeStrategy)
    let shared =
      settings.shared
      ?? SplitGeometry.standardShared(
        experts: settings.experts, width: source.width, strategy.sharedUnits)
    switch strategy.sharedUnits {
    case .none where shared > 0 && strategy.form != .copied:
      throw ConstructionError(
        .refused,
        "--strategy \(name) makes no shared units; give --shared 0, or use gradient-residual or "
          + "sharing-inter")
    case .required where shared == 0:
      throw ConstructionError(
        .refused,
        "--strategy \(name) needs at least one shared unit; give --shared 1 or leave it out")
    default: break
    }
    let geometry = try SplitGeometry(
      width: source.width, experts: settings.experts, topK: settings.topK, shared: shared,
      form: strategy.form)
    if let refusal = strategy.refusal(of: geometry) { throw ConstructionError(.refused, refusal) }
    return geometry
  }

  /// The layers that stay dense, checked.
  private static func denseLayers(
    _ source: DenseSource, _ settings: ConversionSettings
  ) throws(ConstructionError) -> Set<Int> {
    let kept = Set(settings.keepDense)
    if let wrong = settings.keepDense.first(where: { !(0..<source.layers).contains($0) }) {
      throw ConstructionError(
        .refused,
        "--keep-dense \(wrong): the model has layers 0 to \(source.layers - 1)")
    }
    guard !settings.keepsMLPs || kept.isEmpty else {
      throw ConstructionError(
        .refused, "--keep-dense says nothing where --strategy none leaves all MLPs dense")
    }
    guard settings.keepsMLPs || kept.count < source.layers else {
      throw ConstructionError(
        .refused, "--keep-dense names every layer; use --strategy none to leave all MLPs dense")
    }
    return kept
  }

  private static func combination(
    _ settings: ConversionSettings, _ geometry: SplitGeometry, _ notes: inout [String]
  ) -> (CombinationRule, Double) {
    let sumsToOne = settings.formats.first { [.mixtral, .qwen2_moe, .minimax].contains($0) }
    let isCopied = geometry.form == .copied
    var rule =
      settings.rule
      ?? (isCopied || settings.router == .random ? .renormalizedSoftmax : .gained)
    if settings.rule == nil, settings.formats.contains(.glm4_moe) {
      rule = .renormalizedSigmoid
      notes.append("glm4_moe scores experts by sigmoids; the weights are sigmoids over their sum")
    } else if settings.rule == nil, rule == .gained {
      if let sumsToOne, geometry.topK > 1 {
        rule = .renormalizedSoftmax
        notes.append(
          "\(sumsToOne.rawValue) cannot give each of \(geometry.topK) experts weight one; "
            + "their softmax weights are scaled to average one")
      } else if settings.trainsBeforeExport,
        let export = settings.exports.first(where: { $0 != .herd })
      {
        rule = .renormalizedSoftmax
        notes.append(
          "\(export.rawValue) has no weights 1 + p·u, which training would change; the weights are "
            + "a softmax over the chosen experts")
      }
    }
    if rule == .gained { return (rule, 1) }
    // A split without meaning wants the dense MLP's expected size; one with meaning wants each
    // chosen expert whole. Of copies, weights that sum to one make one dense MLP.
    let standard =
      isCopied
      ? 1
      : settings.router == .random
        ? Double(geometry.experts) / Double(geometry.topK) : Double(geometry.topK)
    let factor =
      switch rule {
      case .softmax: Double(geometry.experts)
      // The sigmoid of a score of zero is a half.
      case .sigmoid: 2.0
      case .gained, .renormalizedSoftmax, .renormalizedSigmoid: standard
      }
    return (rule, settings.scale ?? factor)
  }

  /// Refuses what could not be exported in the end, before any work is done.
  static func checkExports(
    _ settings: ConversionSettings, _ model: MixtureModel
  ) throws(ConstructionError) {
    var exported = model
    exported.gainsAreZero = !settings.trainsBeforeExport
    for export in settings.exports {
      if model.mixers.isEmpty, !settings.becomesLinear, export.make().movesEverything {
        throw ConstructionError(
          .refused,
          "the model could not be exported to \(export.rawValue): it is a format of linear attention; "
            + "make the model linear, or choose among "
            + OutputFormat.ofSoftmax.map(\.rawValue).joined(separator: ", "))
      }
      guard let refusal = export.make().refusal(of: exported) else { continue }
      throw ConstructionError(
        .refused, "the model could not be exported to \(export.rawValue): \(refusal)")
    }
  }

  private static func fate(of name: String, denseLayers: Set<Int>) -> Fate {
    guard let place = DenseSource.place(of: name), !denseLayers.contains(place.layer) else {
      return .copied
    }
    return .divided(layer: place.layer, place.projection)
  }

  private static func outputs(
    _ fates: [(tensor: TensorDescription, fate: Fate)], _ model: MixtureModel,
    _ format: any OutputLayout, shape: (Int) -> MixtureShape?
  ) -> [TensorDeclaration] {
    var outputs: [TensorDeclaration] = []
    for (tensor, fate) in fates where fate == .copied {
      outputs.append(
        TensorDeclaration(
          name: tensor.name, elementType: tensor.elementType, shape: tensor.shape))
    }
    for index in model.blocks.indices {
      if let shape = shape(index) {
        outputs += format.places(index, of: shape).declarations
      }
    }
    return outputs + format.additionalZeros(in: model)
  }
}

extension ConversionSettings {
  /// Why experts that are copies of the whole MLP cannot be made so; `nil` when they can.
  /// - Parameter rule: How chosen experts are combined.
  fileprivate func refusalOfCopies(_ rule: CombinationRule) -> String? {
    let experts = "strategy \(strategy.rawValue) makes experts that are copies of the whole MLP"
    if !router.make().tellsCopiesApart {
      let names = RouterName.allCases.filter { $0.make().tellsCopiesApart }.map(\.rawValue)
      return
        "\(experts), and router \(router.rawValue) looks for what their neurons have apart; use "
        + "--router \(names.joined(separator: " or "))"
    }
    if meanTopK != nil {
      return "\(experts), whose weights sum to one however many there are; leave --mean-top-k out"
    }
    if rule != .renormalizedSoftmax, rule != .renormalizedSigmoid {
      return "\(experts), so the weights of the chosen ones must sum to one, and those of "
        + "\(rule.rawValue) do not; use --combination renormalized_softmax or renormalized_sigmoid"
    }
    return nil
  }

  /// The settings as the output's configuration records them.
  var provenance: JSONObject {
    var object: JSONObject = [
      "strategy": .string(keepsMLPs ? "none" : strategy.rawValue),
      "attention": .string(attention?.strategy.rawValue ?? "none"),
      "router": .string(strategy.make().form == .pruned ? "none" : router.rawValue),
      "recovery": .string(recovery.rawValue),
      "shared_per_layer": sharedPerLayer.map { .array($0.map { JSON($0) }) } ?? .null,
      "mean_top_k": meanTopK.map { JSON($0) } ?? .null,
      "seed": JSON(Int(clamping: seed)),
      "calibration_tokens": needsCalibration ? JSON(calibrationTokens) : .null,
      "calibration": needsCalibration
        ? .string(hasCalibrationData ? "data" : "sampled from the dense model") : .null,
    ]
    if !keepDense.isEmpty {
      object["keep_dense"] = .array(keepDense.sorted().map { JSON($0) })
    }
    if needsGradients { object["assignment"] = .string(assignment.rawValue) }
    if !keepsMLPs, strategy == .dropUpcycle { object["drop_ratio"] = JSON(dropRatio) }
    return object
  }
}
