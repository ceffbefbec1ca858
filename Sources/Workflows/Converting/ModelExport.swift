import ExpertConstruction
import Formats

/// `herd export`: a model in herd's own format into a stock one, or a model of any format into a
/// GGUF file.
public struct ModelExport {
  /// The herd folder, or for GGUF any model folder.
  public let source: String
  /// The folder, or for GGUF the file, to write.
  public let output: String
  /// The stock format's name.
  public let format: String
  /// How a GGUF file stores weights; `nil` takes what suits the source.
  public let weights: String?
  private let force: Bool
  private let events: WorkflowEvents

  /// An export that has not looked at anything yet.
  public init(
    source: String, output: String, format: String, weights: String? = nil, force: Bool = false,
    events: WorkflowEvents = .init()
  ) {
    self.source = source
    self.output = output
    self.format = format
    self.weights = weights
    self.force = force
    self.events = events
  }

  /// The format that is a file and no folder.
  static let fileFormat = "gguf"
  /// The names of all formats.
  public static let formats =
    "\(OutputFormat.allCases.filter { $0 != .herd }.map(\.rawValue).joined(separator: ", ")), "
    + fileFormat
  /// The names of how a GGUF file stores weights.
  public static let weightTypes = GGUFExport.Weights.allCases.map(\.rawValue)
    .joined(separator: ", ")

  /// The format of a folder to export to; `other` is one more name that users may give.
  static func target(_ name: String, or other: String? = nil) throws -> OutputFormat {
    let format = try ConvertSettings.choice(OutputFormat.self, name, "format", or: other)
    guard format != .herd else {
      throw WorkflowError(
        "herd is the format that an export starts from; copy the folder, or name a stock format")
    }
    return format
  }

  /// Refuses names that do not exist, without looking at files.
  public func checkNames() throws {
    if format != Self.fileFormat {
      _ = try Self.target(format, or: Self.fileFormat)
      guard weights == nil else {
        throw WorkflowError(
          "--dtype is for --format gguf; \(format) keeps the element types of the source")
      }
    }
    _ = try weights.map { try ConvertSettings.choice(GGUFExport.Weights.self, $0, "dtype") }
  }

  /// Checks that the format can hold the model, then writes it.
  /// - Throws: `ConstructionError` with the reason and the format that fits.
  public func execute() throws -> JSON {
    try checkNames()
    return format == Self.fileFormat ? try writeFile() : try writeFolder()
  }

  private func writeFile() throws -> JSON {
    let folder = try ModelFolder(source, access: .pread)
    let named = try folder.config.tokenIDs("eos_token_id")
    let ends = try folder.endTokens().map(Int.init).sorted()
    let export = try GGUFExport(
      folder.loader, configuration: folder.config,
      weights: try weights.map { try ConvertSettings.choice(GGUFExport.Weights.self, $0, "dtype") },
      ends: named.isEmpty ? ends : named)
    for note in export.notes { events.note(note) }
    let bytes = try export.run(to: output, force: force)
    return [
      "path": JSON(output), "format": JSON(format), "bytes": JSON(bytes),
      "architecture": JSON(export.architecture),
      "dtype": JSON(export.weights.rawValue), "notes": .array(export.notes.map { JSON($0) }),
      "tensors": JSON(export.tensorCount),
    ]
  }

  private func writeFolder() throws -> JSON {
    let folder = try ModelFolder(source, access: .pread)
    guard try folder.config.string("model_type") == "herd" else {
      let way =
        folder.configuration.linearMixers.isEmpty
        ? "run herd convert without --format first" : "which a training stage saves it in"
      throw WorkflowError(
        "\(source): a \(try folder.config.string("model_type")) folder; export starts from herd's own format, \(way)"
      )
    }
    let format = try Self.target(format)
    let export = try Export(folder.checkpoint, configuration: folder.config, to: format)
    if let rounding = export.rounding { events.note(rounding) }
    for note in export.notes { events.note(note) }
    try export.run(to: output, force: force)
    return [
      "path": JSON(output), "format": JSON(format.rawValue),
      "rounding": export.rounding.map { JSON($0) } ?? .null,
      "notes": .array(export.notes.map { JSON($0) }),
      "tensors": JSON(export.outputs.count),
    ]
  }
}
