import ExpertConstruction
import Formats

/// `herd export`: a model in herd's own format into a stock one.
public struct ModelExport {
  /// The herd folder.
  public let source: String
  /// The folder to write.
  public let output: String
  /// The stock format's name.
  public let format: String
  private let force: Bool
  private let events: WorkflowEvents

  /// An export that has not looked at anything yet.
  public init(
    source: String, output: String, format: String, force: Bool = false,
    events: WorkflowEvents = .init()
  ) {
    self.source = source
    self.output = output
    self.format = format
    self.force = force
    self.events = events
  }

  /// Checks that the format can hold the model, then writes it.
  /// - Throws: `ConstructionError` with the reason and the format that fits.
  public func execute() throws -> JSON {
    let folder = try ModelFolder(source, access: .pread)
    guard try folder.config.string("model_type") == "herd" else {
      throw WorkflowError(
        "\(source): a \(try folder.config.string("model_type")) folder; export starts from herd's own format, run herd convert without --format first"
      )
    }
    let format = try ConvertSettings.choice(OutputFormat.self, format, "format")
    let export = try Export(folder.checkpoint, configuration: folder.config, to: format)
    if let rounding = export.rounding { events.note(rounding) }
    try export.run(to: output, force: force)
    return [
      "path": JSON(output), "format": JSON(format.rawValue),
      "rounding": export.rounding.map { JSON($0) } ?? .null,
      "tensors": JSON(export.outputs.count),
    ]
  }
}
