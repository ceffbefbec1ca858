import ExpertConstruction
import Formats

/// `herd densify`: a mixture back into a dense model.
public struct ModelDensification {
  /// The mixture's folder, in any format that herd reads.
  public let source: String
  /// The folder to write.
  public let output: String
  private let weightsAsOne: Bool
  private let force: Bool
  private let events: WorkflowEvents

  /// A densification that has not looked at anything yet.
  /// - Parameter weightsAsOne: Accepts experts that do not enter with weight one.
  public init(
    source: String, output: String, weightsAsOne: Bool = false, force: Bool = false,
    events: WorkflowEvents = .init()
  ) {
    self.source = source
    self.output = output
    self.weightsAsOne = weightsAsOne
    self.force = force
    self.events = events
  }

  /// What was written.
  public struct Result: Sendable {
    /// The folder.
    public let path: String
    /// Tensors of the dense model.
    public let tensors: Int
    /// Whether the source came back by its ledger.
    public let isRestoration: Bool
    /// Source tensors that a folded scale rounded.
    public let rounded: [String]
    /// What a dense model does not hold.
    public let losses: String?

    /// The result for machines.
    public var json: JSON {
      [
        "path": JSON(path), "tensors": JSON(tensors), "restored": JSON(isRestoration),
        "exact": JSON(isRestoration && rounded.isEmpty),
        "rounded_tensors": .array(rounded.map { JSON($0) }),
        "lost": losses.map { JSON($0) } ?? .null,
      ]
    }

    /// The result for people.
    public var text: String {
      let what =
        isRestoration
        ? (rounded.isEmpty
          ? "all \(tensors) tensors of the dense source, byte for byte"
          : "the dense source; \(rounded.count) of \(tensors) tensors were rounded by a folded scale")
        : "\(tensors) tensors"
      return (["wrote \(path): \(what)"] + [losses].compactMap { $0 }).joined(separator: "\n")
    }
  }

  /// Checks that a dense model can mean what the mixture does, then writes it.
  public func execute() throws -> Result {
    let folder = try ModelFolder(source, access: .pread)
    events.note("looking at the mixture")
    let work = try Densification(
      folder.loader, configuration: folder.config, weightsAsOne: weightsAsOne)
    try work.run(to: output, force: force)
    return Result(
      path: output, tensors: work.tensorCount, isRestoration: work.isRestoration,
      rounded: work.rounded, losses: work.losses)
  }
}
