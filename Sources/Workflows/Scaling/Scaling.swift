import Data
import Formats
import Numerics
import Reports

/// A ladder of models trained from scratch, sizes × architectures × tokens, and the power laws fitted to
/// their losses; resumable at every point.
///
/// `<output>/shared` holds generated text and the tokenizer learned from it, where there is any. Every cell
/// is a run folder under `<output>/cells`.
public struct Scaling: GridWork {
  /// What to do.
  public let pipeline: Pipeline
  /// Where everything goes.
  public let output: String
  private let jobs: Int
  private let device: Device
  private let limit: TimeLimit?
  private let events: WorkflowEvents

  /// The ladder of `pipeline` in the folder `output`, `ladders/<name>` unless given.
  /// - Parameters:
  ///   - jobs: How many cells are done at a time; those of a CPU share its threads.
  ///   - minutes: Stop cleanly before this time is up; `nil` for no limit.
  public init(
    _ pipeline: Pipeline, output: String? = nil, jobs: Int = 1, device: Device = .cpu(),
    minutes: Double? = nil, events: WorkflowEvents = .init()
  ) {
    self.init(
      pipeline, output: output, jobs: jobs, device: device,
      limit: minutes.map { TimeLimit(seconds: $0 * 60) }, events: events)
  }

  init(
    _ pipeline: Pipeline, output: String?, jobs: Int = 1, device: Device, limit: TimeLimit?,
    events: WorkflowEvents
  ) {
    self.pipeline = pipeline
    self.output = output ?? "ladders/\(pipeline.name)"
    self.jobs = jobs
    self.device = device
    self.limit = limit
    self.events = events
  }

  /// The run that all cells share.
  private var home: String { "\(output)/shared" }

  /// The cells, and the checks that need no text.
  func cells() throws -> [ScalingCell] {
    let cells = try ScalingCell.cells(of: pipeline, home: home)
    for cell in cells.prefix(1) {
      let stage = cell.pipeline.stages[0]
      try pipeline.checkWeights(of: stage, on: device)
      for file in stage.data.map(\.file) + (pipeline.evaluate?.data ?? [])
      where !file.hasPrefix("{run}") {
        _ = try RecordReader(path: pipeline.resolve(file, run: home))
      }
      if let folder = pipeline.json["initialize"]?["tokenizer"]?.string {
        _ = try TokenizerFiles.tokenizer(of: pipeline.resolve(folder, run: home))
      }
    }
    return cells
  }

  /// Does whatever is not done yet, as far as the time limit allows.
  public func execute() throws -> GridResult {
    let cells = try cells()
    let grid = RunGrid(
      output: output, kind: "scaling",
      home: try ScalingCell.home(of: pipeline, cells).map { (home, $0) },
      cells: cells.map {
        RunGrid.Cell(
          name: $0.name, pipeline: $0.pipeline,
          leftovers: $0.leftovers(keepingModels: pipeline.scaling?.keepsModels ?? false))
      }, jobs: jobs, device: device, limit: limit, events: events)
    // What is not generated is measured before anything is written.
    let isNew = !Files.exists("\(output)/\(ScalingRecord.fileName)")
    if isNew, pipeline.json["initialize"]?["tokenizer"]?.string != nil {
      _ = try text(cells, grid.shared) { !$0.hasPrefix("{run}") }
    }
    return try grid.execute {
      ScalingRecord(pipeline, cells, folder: output, device: $0)
    } prepare: { record in
      if record.isFinished, record.measured?.isOf(cells) == true { return }
      record.measured = try text(cells, grid.shared)
    }
  }

  private func text(
    _ cells: [ScalingCell], _ shared: SharedWork, where isWanted: (String) -> Bool = { _ in true }
  ) throws -> ScalingText {
    try ScalingText(of: cells, run: home, shared: shared, note: events.note, where: isWanted)
  }

  /// What the ladder will do and roughly cost.
  public func estimate() throws -> GridEstimate {
    let cells = try cells()
    return try GridEstimate(
      cells.map { cell in
        let size = Decimals.short(Double(cell.parameters))
        return (
          cell.name, cell.pipeline,
          "\(size) parameters, \(Decimals.scientific(cell.compute)) PFLOP/s-days, "
        )
      }, output: output, jobs: jobs,
      vocabulary: pipeline.json["initialize"]?["tokenizer"]?.string == nil
        ? pipeline.synthesize?.vocabulary : nil, device: device)
  }
}
