import Data
import ExpertConstruction
import Formats
import Models
import Numerics

/// `herd convert`: a dense checkpoint folder into a mixture folder, proved before it is named done.
public struct ModelConversion {
  /// The dense folder.
  public let source: String
  /// The folder to write.
  public let output: String
  /// What was asked for.
  public let settings: ConvertSettings
  private let seed: UInt64
  private let force: Bool
  private let events: WorkflowEvents

  /// Checkpoints up to this many bytes of weights are verified on whole-model logits at once.
  static let verifiedAtOnce = 2_000_000_000

  /// A conversion that has not looked at anything yet.
  public init(
    source: String, output: String, settings: ConvertSettings, seed: UInt64 = 0,
    force: Bool = false, events: WorkflowEvents = .init()
  ) {
    self.source = source
    self.output = output
    self.settings = settings
    self.seed = seed
    self.force = force
    self.events = events
  }

  /// Decides everything without writing anything or reading weights.
  /// - Throws: one-line errors with the nearest setting that works.
  public func plan() throws -> ConversionPlan { try plan(hasData: !settings.data.isEmpty) }

  /// - Parameter hasData: Whether there will be calibration files, though none may be named yet.
  func plan(hasData: Bool) throws -> ConversionPlan {
    try plan(ModelFolder(source, access: .pread), hasData: hasData)
  }

  private func plan(_ folder: ModelFolder, hasData: Bool) throws -> ConversionPlan {
    for file in settings.data { _ = try RecordReader(path: file) }
    guard settings.calibrationTokens <= CalibrationText.mostTokens else {
      throw WorkflowError(
        "\(settings.calibrationTokens) calibration tokens do not fit into memory; use at most \(CalibrationText.mostTokens)"
      )
    }
    var resolved = try settings.resolved(seed: seed)
    resolved.hasCalibrationData = hasData
    return try ConversionPlan(
      DenseSource(configuration: folder.config, checkpoint: folder.checkpoint), resolved)
  }

  /// What a conversion did.
  public struct Result: Sendable {
    /// The construction's own report.
    public let report: ConversionReport
    /// The whole-model proof; `nil` for a checkpoint too large to load at once.
    public let verification: ModelVerification.Result?

    /// The result for machines.
    public var json: JSON {
      var object = report.json.object ?? JSONObject()
      object["verification"] = verification?.json ?? .null
      return .object(object)
    }

    /// The result for people.
    public var text: String {
      let proof =
        verification?.text
        ?? "too large to verify at once; run herd verify \(report.path) --against the source"
      return "wrote \(report.path)\n\(proof)"
    }
  }

  /// The plan with the shared units that suit each layer.
  private func search(
    _ plan: ConversionPlan, _ folder: ModelFolder, _ calibration: DenseCalibration,
    in context: Context
  ) throws -> ConversionPlan {
    var settings = plan.settings
    settings.sharedPerLayer = try SharedSearch(
      plan, checkpoint: folder.checkpoint, context: context
    ).run(calibration) { done in
      events.progress(WorkflowProgress("search", done: done, total: plan.source.layers))
    }
    let list = settings.sharedPerLayer.map { $0.map { "\($0)" }.joined(separator: ", ") } ?? ""
    events.note("shared units of each layer: \(list)")
    return try ConversionPlan(plan.source, settings)
  }

  /// Plans, converts, proves, verifies on `device`, in full precision.
  public func execute(on device: Device = .cpu()) throws -> Result {
    try execute(in: Context(device: device.inFullPrecision))
  }

  /// Plans, converts, proves, verifies.
  public func execute(in context: Context) throws -> Result {
    try execute(in: context, shared: SharedWork())
  }

  func execute(in context: Context, shared: SharedWork) throws -> Result {
    let folder = try ModelFolder(source, access: .pread)
    var plan = try plan(folder, hasData: !settings.data.isEmpty)
    for note in plan.notes { events.note(note) }
    let documents =
      try plan.settings.needsCalibration
      ? shared.once("calibration \(source) \(settings.data) \(settings.calibrationTokens) \(seed)")
      {
        try CalibrationText(
          folder, files: settings.data, count: settings.calibrationTokens, seed: seed
        ).documents(in: context)
      } : []
    let gradients = try gradients(plan, folder, documents, in: context, shared: shared)
    func calibration() throws -> DenseCalibration {
      try DenseCalibration(
        folder.loader, documents: documents.map(\.tokens), domains: documents.map(\.domain),
        context: context)
    }
    if plan.settings.searchesShared {
      plan = try search(plan, folder, calibration(), in: context)
    }
    let calibration = try plan.settings.needsCalibration ? calibration() : nil
    // Copies of MLPs make the mixture larger than its source.
    let isSmall = max(folder.checkpoint.totalBytes, plan.outputBytes) < Self.verifiedAtOnce
    var verification: ModelVerification.Result?
    let report = try Conversion(plan, checkpoint: folder.checkpoint, context: context).run(
      to: output, force: force, keeping: settings.data, calibration: calibration,
      gradients: gradients
    ) { progress in
      events.progress(
        WorkflowProgress("convert", done: progress.layersDone, total: progress.layers))
    } verify: { finished in
      guard isSmall else { return }
      verification = try ModelVerification(
        mixture: finished, calling: output, dense: source, events: events
      ).run(in: context)
    }
    events.note(report.afterTraining)
    return Result(report: report, verification: verification)
  }

  /// What the loss's gradient says of every layer that is converted, where the strategy asks.
  private func gradients(
    _ plan: ConversionPlan, _ folder: ModelFolder, _ documents: [CalibrationDocument],
    in context: Context, shared: SharedWork
  ) throws -> [Int: ClusterImportance] {
    guard plan.settings.needsGradients, let block = plan.block else { return [:] }
    let clusters = block.geometry.experts
    let text = "\(settings.data) \(settings.calibrationTokens) \(seed)"
    let key = "gradients \(source) \(text) \(clusters) \(plan.denseLayers.sorted())"
    return try shared.once(key) {
      try GradientCalibration(folder.loader, documents: documents, context: context)
        .importance(
          clusters: clusters, seed: plan.settings.seed, skipping: plan.denseLayers
        ) { done, total in
          events.progress(WorkflowProgress("gradients", done: done, total: total))
        }
    }
  }
}

extension ConversionSettings {
  /// Takes `experts` as all units and `topK` as all that a token uses; half of those are shared, or as
  /// many as ``meanTopK`` leaves, until the search says how many.
  fileprivate mutating func searchShared() throws(WorkflowError) {
    guard topK >= 2, topK < experts else {
      throw WorkflowError(
        "with shared units searched for, experts counts all units and top-k those a token uses; top-k must be between 2 and \(max(2, experts - 1))"
      )
    }
    // Tokens choose at least as many as they shall use on average.
    let mean = (meanTopK ?? 1).rounded(.up)
    let first = Int(min(Double(topK / 2), max(0, Double(topK) - mean)))
    shared = first
    experts -= first
    topK -= first
  }
}

extension ConvertSettings {
  /// Refuses names of strategies, routers, rules and formats that do not exist.
  public func checkNames() throws { _ = try resolved(seed: 0) }

  /// The settings in the construction room's terms.
  func resolved(seed: UInt64) throws -> ConversionSettings {
    let keepsMLPs = strategy == "none"
    var resolved = ConversionSettings(
      experts: experts, topK: topK, shared: shared,
      strategy: keepsMLPs
        ? .sequential : try Self.choice(StrategyName.self, strategy, "strategy", or: "none"),
      router: try router.map { try Self.choice(RouterName.self, $0, "router") },
      rule: try combination.map { try Self.choice(CombinationRule.self, $0, "combination") },
      format: try Self.outputFormat(format, "format", from: OutputFormat.convertible),
      exports: try exports.map { name in
        _ = try Self.outputFormat(name, "export", from: OutputFormat.allCases)
        return try ModelExport.target(name)
      },
      trainsBeforeExport: trainsBeforeExport, seed: seed,
      calibrationTokens: calibrationTokens, hasCalibrationData: !data.isEmpty)
    resolved.keepsMLPs = keepsMLPs
    resolved.becomesLinear = becomesLinear
    resolved.recovery = try Self.choice(RecoveryName.self, recovery, "recovery")
    resolved.keepDense = keepDense
    if let assignment {
      resolved.assignment = try Self.choice(ImportanceAssignment.self, assignment, "assignment")
      let strategy = resolved.strategy
      guard !keepsMLPs, strategy == .gradient || strategy == .gradientResidual else {
        throw WorkflowError(
          "assignment is for the strategies gradient and gradient-residual, not \(self.strategy); leave it out"
        )
      }
    }
    if let dropRatio {
      resolved.dropRatio = dropRatio
      guard !keepsMLPs, resolved.strategy == .dropUpcycle else {
        throw WorkflowError(
          "drop_ratio is for the strategy drop-upcycle, not \(strategy); leave it out")
      }
    }
    resolved.meanTopK = meanTopK
    resolved.searchesShared = searchesShared
    if searchesShared, !keepsMLPs { try resolved.searchShared() }
    resolved.attention = try attentionSettings()
    return resolved
  }

  private func attentionSettings() throws(WorkflowError) -> AttentionSettings? {
    guard attention != "none" else {
      guard attentionExperts == nil, attentionTopK == nil, attentionShared == nil else {
        throw WorkflowError(
          "attention experts were described but attention stays dense; choose attention from \(Self.attentions)"
        )
      }
      return nil
    }
    return AttentionSettings(
      strategy: try Self.choice(AttentionStrategyName.self, attention, "attention", or: "none"),
      experts: attentionExperts, topK: attentionTopK, shared: attentionShared)
  }

  /// A format that is a folder.
  /// - Parameter offered: What to name where a file is asked for.
  private static func outputFormat(
    _ name: String, _ what: String, from offered: [OutputFormat]
  ) throws(WorkflowError) -> OutputFormat {
    guard name != ModelExport.fileFormat else {
      let names = offered.map(\.rawValue).joined(separator: ", ")
      throw WorkflowError(
        "\(what) \"\(name)\" is one file, which only herd export writes; choose here from \(names), and run herd export FOLDER FILE --format \(name) afterwards"
      )
    }
    return try choice(OutputFormat.self, name, what)
  }

  /// One of an enumeration's names; `other` is one more that users may give.
  static func choice<Name: RawRepresentable<String> & CaseIterable>(
    _ type: Name.Type, _ name: String, _ what: String, or other: String? = nil
  ) throws(WorkflowError) -> Name {
    if let found = Name(rawValue: name) { return found }
    let names = Name.allCases.map(\.rawValue) + (other.map { [$0] } ?? [])
    let hint = nearestName(to: name, in: names).map { "; did you mean \"\($0)\"?" } ?? "."
    throw WorkflowError(
      "\(what) \"\(name)\" is not known\(hint) Choose from \(names.joined(separator: ", "))")
  }
}
