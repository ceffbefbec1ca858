import Data
import ExpertConstruction
import Formats
import Numerics

/// `herd try`: every strategy with every router in every format, from conversion to export.
public struct MethodTrials {
  private let settings: TrialSettings
  private let command: String
  private let device: Device
  private let events: WorkflowEvents

  /// Trials that have not looked at anything yet.
  /// - Parameter command: How a user asks for them, for the record.
  public init(
    _ settings: TrialSettings, command: String, device: Device = .cpu(),
    events: WorkflowEvents = .init()
  ) {
    self.settings = settings
    self.command = command
    self.device = device
    self.events = events
  }

  /// Tries everything, and keeps nothing but the record.
  ///
  /// - Parameter scratch: Where models are made; each is removed when its pair is done.
  /// - Throws: An error where the checkpoint or the text is at fault. What a method does is in the
  ///   record, failures too.
  public func execute(in scratch: ScratchFolder) throws -> TrialRecord {
    try settings.check()
    let start = ContinuousClock.now
    for file in settings.data + settings.evaluation { _ = try RecordReader(path: file) }
    let dense = try ModelFolder(settings.dense, access: .pread)
    _ = try DenseSource(configuration: dense.config, checkpoint: dense.checkpoint)
    let context = try Context(device: device.inFullPrecision)
    let text = SharedWork(isKept: true)
    var record = TrialRecord(
      command: command, checkpoint: Self.name(of: settings.dense),
      machine: Self.machine(context.deviceDescription),
      denseLoss: try settings.loss(of: settings.dense, text: text, in: context),
      settings: settings)
    let pairs = MethodPair.all(settings)
    var formats = settings.chosenFormats
    var work = SharedWork(isKept: true)
    for (index, pair) in pairs.enumerated() {
      events.progress(
        WorkflowProgress(
          "try", done: index, total: pairs.count,
          detail: [pair.strategy, pair.router].compactMap { $0 }.joined(separator: ", ")))
      if index > 0, pairs[index - 1].strategy != pair.strategy {
        work = SharedWork(isKept: true)
      }
      let folder = "\(scratch.path)/\(index)"
      try Files.createFolder(folder)
      defer { try? Files.remove(folder) }
      let cells = PairTrial(
        pair, settings, scratch: folder, work: work, text: text, in: context
      ).run(formats)
      for cell in cells {
        if let failure = cell.failure { events.note("failed: \(cell.name): \(failure)") }
        // What has worked once need not be tried again; everything starts from herd's own format.
        if settings.once, cell.measurement != nil, cell.format != OutputFormat.herd.rawValue {
          formats.removeAll { $0 == cell.format }
        }
      }
      record.cells += cells
    }
    events.progress(WorkflowProgress("try", done: pairs.count, total: pairs.count))
    record.seconds = (ContinuousClock.now - start).inSeconds
    return record
  }

  private static func name(of folder: String) -> String {
    folder.split(separator: "/").last.map(String.init) ?? folder
  }

  private static func machine(_ device: DeviceDescription) -> String {
    let processor = (try? SystemReport())?.processor
    return
      "\(processor.map { "\($0), " } ?? "")\(device.kind) \(device.architecture), \(device.threads) threads"
  }
}

extension TrialCell {
  /// What it is called in messages.
  public var name: String { [strategy, router, format].compactMap { $0 }.joined(separator: ", ") }
}
