import ExpertConstruction
import Formats
import Models
import Numerics

/// `herd linearize`: softmax attention into lightning attention, verified before the folder is named.
public struct ModelLinearization {
  /// The folder with softmax attention.
  public let source: String
  /// The folder to write.
  public let output: String
  /// What was asked for.
  public let settings: LinearizeSettings
  private let seed: UInt64
  private let force: Bool
  private let events: WorkflowEvents

  /// A move that has not looked at anything yet.
  public init(
    source: String, output: String, settings: LinearizeSettings, seed: UInt64 = 0,
    force: Bool = false, events: WorkflowEvents = .init()
  ) {
    self.source = source
    self.output = output
    self.settings = settings
    self.seed = seed
    self.force = force
    self.events = events
  }

  /// What was done.
  public struct Result: Sendable {
    /// The folder.
    public let path: String
    /// Layers that are linear now.
    public let linear: [Int]
    /// Layers that stayed softmax.
    public let kept: [Int]
    /// What the ledger holds.
    public let ledger: ByteLedger
    /// What measuring the layers found; `nil` where they were given.
    public let importance: LayerImportance?
    /// The check of the written bytes; `nil` for a checkpoint too large to load at once.
    public let verification: ModelVerification.Result?

    /// The result for machines.
    public var json: JSON {
      [
        "path": JSON(path), "linear_layers": .array(linear.map { JSON($0) }),
        "softmax_layers": .array(kept.map { JSON($0) }),
        "created_tensors": JSON(ledger.creation?.tensors.count ?? 0),
        "source_digest": JSON(ledger.sourceDigest), "importance": importance?.json ?? .null,
        "verification": verification?.json ?? .null,
      ]
    }

    /// The result for people.
    public var text: String {
      func list(_ layers: [Int]) -> String {
        layers.isEmpty ? "none" : layers.map { "\($0)" }.joined(separator: ", ")
      }
      let proof =
        verification?.text
        ?? "too large to verify at once; run herd verify \(path) --against the source"
      return [
        importance?.text, "wrote \(path)", "linear layers: \(list(linear))",
        "softmax layers: \(list(kept))", proof,
      ].compactMap { $0 }.joined(separator: "\n")
    }
  }

  /// Decides everything without writing anything or reading weights; layers that would be measured
  /// are taken to be evenly spread.
  /// - Throws: one-line errors with the nearest setting that works.
  public func plan() throws -> LinearizationPlan { try plan(ModelFolder(source, access: .pread)) }

  private func plan(
    _ folder: ModelFolder, keeping layers: [Int]? = nil
  ) throws -> LinearizationPlan {
    var resolved = try settings.resolved(seed: seed)
    resolved.isProvisional = settings.isMeasured && layers == nil
    if let layers { resolved.kept = .layers(layers) }
    return try LinearizationPlan(
      configuration: folder.config, checkpoint: folder.checkpoint, resolved)
  }

  /// Plans, writes and verifies on `device`, in full precision.
  public func execute(on device: Device = .cpu()) throws -> Result {
    try execute(in: Context(device: device.inFullPrecision))
  }

  /// Plans, measures layers where that is asked for, writes and verifies.
  public func execute(in context: Context) throws -> Result {
    let folder = try ModelFolder(source, access: .pread)
    var plan = try plan(folder)
    var importance: LayerImportance?
    if settings.isMeasured {
      let measured = try LayerMeasurement(
        folder, plan, settings: settings, seed: seed, events: events
      ).run(in: context)
      importance = measured
      plan = try self.plan(folder, keeping: measured.layers(plan.kept.count))
    }
    for note in plan.notes { events.note(note) }
    let isSmall = folder.checkpoint.totalBytes < ModelConversion.verifiedAtOnce
    var verification: ModelVerification.Result?
    let ledger = try Linearization(plan, checkpoint: folder.checkpoint).run(
      to: output, force: force, keeping: settings.data
    ) {
      events.progress(WorkflowProgress("linearize", done: $0, total: $1))
    } verify: { finished in
      guard isSmall else { return }
      verification = try ModelVerification(
        mixture: finished, calling: output, dense: source, events: events
      ).run(in: context)
    }
    return Result(
      path: output, linear: plan.linear, kept: plan.kept, ledger: ledger, importance: importance,
      verification: verification)
  }
}
