import Formats
import Numerics

/// Carries out a plan: reads, divides, proves and writes layer after layer.
///
/// While one layer is divided and proved, the next is read and hashed and the previous is written;
/// at most three layers' MLPs are in memory. The output folder appears complete or not at all.
public struct Conversion {
  /// How far a conversion is.
  public struct Progress: Equatable, Sendable {
    /// Layers that are divided and proved.
    public var layersDone: Int
    /// All layers.
    public var layers: Int
  }

  private let plan: ConversionPlan
  private let checkpoint: Checkpoint
  private let context: Context
  private let pool: ThreadPool
  private let format: any OutputLayout
  /// What decides the tensors of the MLPs that are converted, but for units that only some layers
  /// share; `nil` when all are copied.
  private let shape: MixtureShape?

  /// - Parameters:
  ///   - plan: What to do.
  ///   - checkpoint: The dense weights; open it with `pread` to keep memory small.
  ///   - threads: Threads that move bytes; 0 for one per core.
  public init(
    _ plan: ConversionPlan, checkpoint: Checkpoint, threads: Int = 0, context: Context
  ) throws {
    self.plan = plan
    self.checkpoint = checkpoint
    self.context = context
    pool = try ThreadPool(threads: threads > 0 ? threads : context.hostThreads)
    format = plan.settings.format.make()
    shape = plan.block.map {
      MixtureShape(
        block: $0, hidden: plan.source.hidden, elementType: plan.source.elementType)
    }
  }

  /// Writes the converted model to `path`.
  ///
  /// - Parameters:
  ///   - path: The folder to make.
  ///   - force: Whether a folder of that name is replaced.
  ///   - keeping: Files besides the source that a replaced folder must not hold.
  ///   - calibration: Needed when the settings' `needsCalibration` says so.
  ///   - gradients: By layer; needed when the settings' `needsGradients` says so.
  ///   - progress: Called after each layer.
  ///   - verify: Gets the finished folder while it still has its hidden name; what it throws leaves
  ///     nothing behind, and a folder that was to be replaced as it was.
  public func run(
    to path: String, force: Bool = false, keeping: [String] = [],
    calibration: (any CalibrationSource)? = nil, gradients: [Int: ClusterImportance] = [:],
    progress: (Progress) -> Void = { _ in }, verify: (String) throws -> Void = { _ in }
  ) throws -> ConversionReport {
    let folder = try OutputFolder(path, force: force, keeping: [checkpoint.folder] + keeping)
    let writer = try CheckpointWriter(
      folder: folder.stagingPath, tensors: plan.outputs, shardLimit: plan.settings.shardLimit)
    let source = SourceReader(checkpoint)
    let attention = try plan.attention.map {
      try AttentionConversion(
        $0, plan.source, checkpoint, seed: plan.settings.seed, context: context)
    }
    let done = try layers(
      source, writer, Calibration(source: calibration, gradients: gradients), attention, progress)
    for declaration in format.additionalZeros(in: plan.model) {
      try writer.writeZeros(declaration)
    }
    try writer.finish()
    var ledger = ByteLedger(
      format: plan.settings.format, shape: shape,
      source: try source.entries(plan.source.tensors, kept: done.keptDigests),
      splits: shape == nil ? [] : done.splits)
    if !done.normals.isEmpty {
      ledger.redraw = ByteLedger.Redraw(seed: plan.settings.seed, normals: done.normals)
    }
    for index in ledger.source.indices {
      guard let (layer, projection) = DenseSource.place(of: ledger.source[index].name),
        projection == .down, let made = done.repairs[layer]?.digest,
        made != ledger.source[index].sha256
      else { continue }
      ledger.source[index].rewrittenSHA256 = made
    }
    let report = ConversionReport(
      path: folder.path, ledger: ledger, findings: done.findings,
      missed: done.repairs.sorted { $0.key < $1.key }.map(\.value.missed),
      attentionFindings: attention?.findings ?? [], importance: done.importance, plan: plan)
    try CompanionFiles.copy(from: checkpoint.folder, to: folder.stagingPath)
    var model = plan.model
    model.attention = attention?.mixtures ?? []
    for (layer, threshold) in done.thresholds { model.blocks[layer]?.scoreThreshold = threshold }
    try format.configuration(of: model).write(to: folder.path(of: "config.json"))
    try Files.write(
      ledger.json.serialized() + "\n", to: folder.path(of: ByteLedger.fileName))
    try Files.write(report.modelCard, to: folder.path(of: "README.md"))
    try verify(folder.stagingPath)
    try folder.commit()
    return report
  }

  /// What constructions may look at besides weights.
  private struct Calibration {
    let source: (any CalibrationSource)?
    let gradients: [Int: ClusterImportance]
  }

  /// What came of the layers.
  private struct Layers {
    var splits: [NeuronSplit?] = []
    var findings: [LayerProof.Finding] = []
    /// How concentrated the neurons' importance is, where activations were recorded.
    var importance: [ImportanceConcentration] = []
    /// Digests of source tensors with the neurons left out as zeros.
    var keptDigests: [String: String] = [:]
    /// Where routers choose by a threshold, theirs.
    var thresholds: [Int: Double] = [:]
    /// What new weights were drawn from, by layer and expert, where some were.
    var normals: [Int: [[Projection: NormalDistribution]]] = [:]
    /// What recovery did, where it was asked for.
    var repairs: [Int: LayerRepair] = [:]
  }

  private func layers(
    _ source: SourceReader, _ writer: CheckpointWriter, _ calibration: Calibration,
    _ attention: AttentionConversion?, _ progress: (Progress) -> Void
  ) throws -> Layers {
    let reading = try BackgroundWorker()
    defer { reading.stop() }
    let writing = try BackgroundWorker()
    defer { writing.stop() }
    let bytesPerMatrix =
      plan.source.hidden * plan.source.width * plan.source.elementType.bitWidth / 8
    let slots = shape.map { _ in
      (0..<2).map { _ in DenseLayerBytes(bytesPerMatrix: bytesPerMatrix) }
    }
    var mixture: MixtureLayerBytes?
    let proof = LayerProof(hidden: plan.source.hidden, seed: plan.settings.seed, context: context)
    let copies = copiedTensors()
    func read(_ layer: Int) {
      let slot = plan.denseLayers.contains(layer) ? nil : slots?[layer % 2]
      let names = copies[layer] ?? []
      reading.submit {
        if let slot {
          for projection in Projection.allCases {
            try source.read(DenseSource.name(layer, projection), into: slot[projection])
          }
        }
        for name in names { try source.copy(name, to: writer) }
      }
    }
    let others = copies[-1] ?? []
    var done = Layers()
    read(0)
    for layer in 0..<plan.source.layers {
      try reading.drain()
      if layer + 1 < plan.source.layers {
        read(layer + 1)
      } else {
        reading.submit { for name in others { try source.copy(name, to: writer) } }
      }
      try attention?.convert(layer, calibration.source, to: writer)
      if plan.denseLayers.contains(layer) {
        done.splits.append(nil)
      } else if let shape = plan.shape(ofLayer: layer), let dense = slots?[layer % 2] {
        let made = try construct(layer, shape, dense, calibration)
        let (split, router) = (made.split, made.router)
        if let concentration = made.importance { done.importance.append(concentration) }
        if let recovery = made.recovery {
          // From here on the layer that is cut and proved is the recovered one.
          done.repairs[layer] = try LayerRepair(
            recovery, replacing: dense, shape, layer, context)
        }
        let uses = split.uses(width: plan.source.width)
        let normals = self.normals(split, dense, shape)
        if !normals.isEmpty { done.normals[layer] = normals }
        let layout = format.places(layer, of: shape)
        var finding = LayerProof.Finding(error: 0, magnitude: 0)
        for tensors in MixtureTensor.passes(of: shape.block) {
          // The buffer is written from in the background: wait until it may be overwritten.
          try writing.drain()
          let bytes = MixtureLayerBytes(shape, tensors, reusing: mixture)
          mixture = bytes
          try gather(split, normals, dense, into: bytes, layer, shape)
          writing.submit { try Self.write(bytes, layout, to: writer) }
          finding = finding.merged(
            with: try prove(proof, dense, split, uses, bytes, layout, layer, shape))
        }
        if let router {
          try write(router, layout, shape, to: writer)
          done.thresholds[layer] = router.threshold
        }
        try done.repairs[layer]?.writeBias(layout, to: writer)
        for name in layout.zeros {
          if let zeros = layout.declarations.first(where: { $0.name == name }) {
            try writer.writeZeros(zeros)
          }
        }
        done.findings.append(finding)
        done.splits.append(split)
        if uses.contains(0) {
          for projection in Projection.allCases {
            done.keptDigests[DenseSource.name(layer, projection)] = KeptDigest.of(
              UnsafeRawBufferPointer(dense[projection]), projection, uses: uses,
              hidden: shape.hidden, elementSize: shape.elementType.bitWidth / 8)
          }
        }
      }
      progress(Progress(layersDone: layer + 1, layers: plan.source.layers))
    }
    try reading.drain()
    try writing.drain()
    return done
  }

  /// The names of tensors that are copied, by layer; under -1 those of no layer.
  private func copiedTensors() -> [Int: [String]] {
    var names: [Int: [String]] = [:]
    for (tensor, fate) in plan.fates where fate == .copied {
      let parts = tensor.name.split(separator: ".", maxSplits: 3)
      let layer = tensor.name.hasPrefix("model.layers.") && parts.count > 2 ? Int(parts[2]) : nil
      names[layer ?? -1, default: []].append(tensor.name)
    }
    return names
  }

  /// What is decided about one layer.
  private struct Construction {
    var split: NeuronSplit
    var router: Router?
    var importance: ImportanceConcentration?
    var recovery: LayerRepair.Finding?
  }

  private func construct(
    _ index: Int, _ shape: MixtureShape, _ dense: DenseLayerBytes,
    _ calibration: Calibration
  ) throws -> Construction {
    let settings = plan.settings
    let inputs =
      settings.needsCalibration ? try calibration.source?.inputs(ofLayer: index) : nil
    return try context.withMLP(
      width: plan.source.width, hidden: shape.hidden, shape.elementType, bytes: { dense[$0] }
    ) { weights in
      let layer = LayerUnderConstruction(
        index: index, geometry: shape.block.geometry, weights: weights, inputs: inputs,
        clusterImportance: calibration.gradients[index], seed: settings.seed, context: context)
      let split = try settings.madeStrategy.split(layer)
      guard shape.block.geometry.form != .pruned else {
        return Construction(split: split, importance: layer.importance)
      }
      var router = try settings.router.make().router(
        for: layer, split, allowsBias: shape.block.hasRouterBias)
      guard router.isFinite else {
        throw ConstructionError(
          .proofFailed, "layer \(index): the router came out not finite; use more calibration data")
      }
      if let mean = settings.meanTopK {
        router.threshold = try ScoreThreshold.keeping(mean, router, layer)
      }
      let recovery = try settings.recovery.make().map {
        try LayerRepair.Finding($0, RoutedLayer(layer, split, router, shape.block))
      }
      return Construction(
        split: split, router: router, importance: layer.importance, recovery: recovery)
    }
  }

  /// By expert, what the new weights of its redrawn neurons are drawn from; empty where all stay.
  private func normals(
    _ split: NeuronSplit, _ dense: DenseLayerBytes, _ shape: MixtureShape
  ) -> [[Projection: NormalDistribution]] {
    let (projections, width) = (Projection.allCases, plan.source.width)
    let count = split.redrawn.count * projections.count
    let normals = [NormalDistribution](unsafeUninitializedCapacity: count) { values, made in
      let target = values
      pool.run(count) { index in
        let projection = projections[index % projections.count]
        let normal = NeuronRedraw.normal(
          of: split.redrawn[index / projections.count], projection,
          in: UnsafeRawBufferPointer(dense[projection]), width: width, hidden: shape.hidden,
          shape.elementType)
        target.initializeElement(at: index, to: normal)
      }
      made = count
    }
    return split.redrawn.indices.map { expert in
      Dictionary(
        uniqueKeysWithValues: projections.enumerated().map {
          ($1, normals[expert * projections.count + $0])
        })
    }
  }

  private func gather(
    _ split: NeuronSplit, _ normals: [[Projection: NormalDistribution]], _ dense: DenseLayerBytes,
    into mixture: MixtureLayerBytes, _ layer: Int, _ shape: MixtureShape
  ) throws {
    let layout = format.places(layer, of: shape)
    let elementSize = shape.elementType.bitWidth / 8
    let (width, hidden, type) = (plan.source.width, shape.hidden, shape.elementType)
    let redraw = NeuronRedraw(seed: plan.settings.seed, layer: layer)
    let overflowed = UnsafeMutableBufferPointer<Bool>.allocate(capacity: mixture.tensors.count)
    defer { overflowed.deallocate() }
    overflowed.initialize(repeating: false)
    pool.run(mixture.tensors.count) { index in
      let tensor = mixture.tensors[index]
      guard let (neurons, projection) = tensor.neurons(in: split) else { return }
      let source = UnsafeRawBufferPointer(dense[projection])
      let target = mixture[tensor]
      NeuronGather.gather(
        neurons, of: projection, width: width, hidden: hidden, elementSize: elementSize,
        from: source, into: target)
      if case .expert(let expert, _) = tensor, !normals.isEmpty,
        let normal = normals[expert][projection]
      {
        overflowed[index] = !redraw.apply(
          to: split.redrawn[expert], projection, expert: expert, from: normal, in: target,
          width: width, hidden: hidden, type)
      }
      if let scale = layout.places[tensor]?.scale, scale != 1 {
        let isFinite = StoredElements.multiply(target, type, by: Float(scale))
        overflowed[index] = overflowed[index] || !isFinite
      }
    }
    if let index = overflowed.firstIndex(of: true) {
      throw ConstructionError(
        .refused,
        "layer \(layer): \(mixture.tensors[index]) "
          + (normals.isEmpty
            ? "times its scale is beyond \(type.rawValue); use --format herd, which does not fold scales"
            : "has new weights beyond \(type.rawValue); use a checkpoint of another type"))
    }
  }

  private static func write(
    _ mixture: MixtureLayerBytes, _ layout: LayerLayout, to writer: CheckpointWriter
  ) throws {
    for tensor in mixture.tensors {
      guard let place = layout.places[tensor] else { continue }
      try writer.write(
        place.name, at: place.byteOffset, UnsafeRawBufferPointer(mixture[tensor]))
    }
  }

  private func write(
    _ router: Router, _ layout: LayerLayout, _ shape: MixtureShape, to writer: CheckpointWriter
  ) throws {
    let gains = [Float](repeating: 0, count: shape.block.geometry.experts)
    let values: [(MixtureTensor, [Float]?)] = [
      (.router, router.weight_ED), (.routerUp, router.up_ED), (.routerBias, router.bias_E),
      (.routerGain, gains),
    ]
    for (tensor, values) in values {
      guard let place = layout.places[tensor] else { continue }
      guard let values else {
        throw ConstructionError(.proofFailed, "\(place.name) was planned but the router has none")
      }
      let scaled = place.scale == 1 ? values : values.map { $0 * Float(place.scale) }
      try scaled.withUnsafeBytes { try writer.write(place.name, at: place.byteOffset, $0) }
    }
  }

  private func prove(
    _ proof: LayerProof, _ dense: DenseLayerBytes, _ split: NeuronSplit, _ uses: [Int32],
    _ mixture: MixtureLayerBytes, _ layout: LayerLayout, _ layer: Int, _ shape: MixtureShape
  ) throws -> LayerProof.Finding {
    let (type, hidden, geometry) = (shape.elementType, shape.hidden, shape.block.geometry)
    var (uses, partUses) = (uses.allSatisfy { $0 == 1 } ? nil : uses, [Int32]?.none)
    let units = mixture.tensors.compactMap { tensor -> (Int, (Projection) -> MixtureTensor)? in
      switch tensor {
      case .expert(let expert, .down):
        if geometry.form == .copied {
          // A copy is compared for itself, on the neurons that are what they were.
          partUses = split.kept(byExpert: expert, width: plan.source.width)
          uses = partUses
        }
        return (geometry.expertWidth, { .expert(expert, $0) })
      case .shared(.down): return (geometry.sharedWidth, { .shared($0) })
      case .dense(.down): return (geometry.activeWidth, { .dense($0) })
      default: return nil
      }
    }
    var rounding = 0.0
    let finding = context.withMLP(
      width: plan.source.width, hidden: hidden, type, bytes: { dense[$0] }
    ) { weights in
      proof.compare(
        weights, uses: uses, partUses: partUses, count: units.count
      ) { index, body in
        let (width, tensor) = units[index]
        let scale = layout.places[tensor(.down)]?.scale ?? 1
        rounding = max(rounding, StoredElements.rounding(of: type, by: scale))
        context.withMLP(width: width, hidden: hidden, type, bytes: { mixture[tensor($0)] }) {
          body($0, scale)
        }
      }
    }
    guard finding.error <= LayerProof.tolerance(magnitude: finding.magnitude, rounding: rounding)
    else {
      throw ConstructionError(
        .proofFailed,
        "layer \(layer): what was written differs from the dense MLP's kept neurons by "
          + "\(finding.error) on outputs up to \(finding.magnitude); nothing was kept")
    }
    return finding
  }
}
