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
}
