import Data
import ExpertConstruction
import Formats
import Numerics

/// A grid of conversions, each trained and measured alike, beside the dense model and the baseline of
/// static pruning; resumable at every point.
///
/// `<output>/dense` is the run that all cells share: generated text and the dense model's scores.
/// Every cell is a run folder under `<output>/cells`. Cells that differ in their losses only share one
/// conversion.
public struct Sweep: GridWork {
  /// What to do.
  public let pipeline: Pipeline
  /// Where everything goes.
  public let output: String
  private let jobs: Int
  private let device: Device
  private let limit: TimeLimit?
  private let events: WorkflowEvents

  /// A sweep of `pipeline` into the folder `output`, `sweeps/<name>` unless given.
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
    self.output = output ?? "sweeps/\(pipeline.name)"
    self.jobs = jobs
    self.device = device
    self.limit = limit
    self.events = events
  }

  /// The run that all cells share.
  private var home: String { "\(output)/dense" }

  /// The cells, with those refused that the dense model's geometry rules out.
  func cells() throws -> SweepCells {
    guard pipeline.sweep != nil, let model = pipeline.model else {
      throw WorkflowError(
        "\(pipeline.path): there is no \"sweep\" section; use herd run, or add one")
    }
    let dense = try pipeline.resolve(model, run: home)
    _ = try ModelFolder(dense)
    let files =
      (pipeline.convert?.data ?? []) + (pipeline.evaluate?.data ?? [])
      + pipeline.stages.flatMap { $0.data.map(\.file) }
    for file in files where !file.hasPrefix("{run}") {
      _ = try RecordReader(path: pipeline.resolve(file, run: home))
    }
    for stage in pipeline.stages { try pipeline.checkWeights(of: stage, on: device) }
    let cells = try SweepCells(pipeline, home: home) { settings in
      var settings = settings
      // The files were looked at above, and those of the run are yet to be made.
      let hasData = !settings.data.isEmpty
      settings.data = []
      do {
        _ = try ModelConversion(
          source: dense, output: "\(output)/cells", settings: settings, seed: pipeline.seed
        ).plan(hasData: hasData)
        return nil
      } catch {
        return "\(error)"
      }
    }
    guard !cells.cells.isEmpty else {
      throw WorkflowError(
        "\(pipeline.path): no cell of the sweep can be made; the first is refused because "
          + (cells.refused.first?.reason ?? "there is none"))
    }
    return cells
  }

  /// Does whatever is not done yet, as far as the time limit allows.
  public func execute() throws -> GridResult {
    let cells = try cells()
    return try RunGrid(
      output: output, kind: "sweep", home: (home, densePipeline()),
      cells: cells.cells.map { cell in
        let owner = cells.owner(of: cell)
        return RunGrid.Cell(
          name: cell.name, pipeline: cell.pipeline, conversion: owner == cell.name ? nil : owner,
          // Resume states are many times as large as the model.
          leftovers: cell.pipeline.stages.map { "\($0.name)/checkpoint" })
      }, jobs: jobs, device: device, limit: limit, events: events
    ).execute { SweepRecord(pipeline, cells, folder: output, device: $0) }
  }

  /// What the sweep will do and roughly cost.
  public func estimate() throws -> GridEstimate {
    let cells = try cells()
    return try GridEstimate(
      cells.cells.map { ($0.name, $0.pipeline, "") },
      refused: cells.refused.map { ($0.name, $0.reason) }, output: output, jobs: jobs,
      device: device)
  }

  /// The dense model alone: text, scores, speed.
  private func densePipeline() throws -> Pipeline {
    var object = pipeline.json.object ?? JSONObject()
    for key in ["sweep", "convert", "stages"] { object[key] = nil }
    var evaluate = object["evaluate"]?.object ?? JSONObject()
    if evaluate["decode_tokens"] == nil {
      evaluate["decode_tokens"] = JSON(SweepSettings.decodeTokens)
    }
    object["evaluate"] = .object(evaluate)
    return try Pipeline(path: pipeline.path, object: object)
  }
}
