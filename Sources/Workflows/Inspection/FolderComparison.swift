import ExpertConstruction
import Formats

/// `herd diff`: what differs between two model folders.
public struct FolderComparison {
  /// The first folder.
  public let first: String
  /// The second folder.
  public let second: String
  private let events: WorkflowEvents

  /// A comparison that has not looked at anything yet.
  public init(_ first: String, _ second: String, events: WorkflowEvents = .init()) {
    self.first = first
    self.second = second
    self.events = events
  }

  /// What was found.
  public struct Result: Sendable {
    let first: String
    let second: String
    let difference: CheckpointDifference

    /// Whether the two hold the same.
    public var isEqual: Bool { difference.isEmpty }

    /// Lines of each kind that people are shown.
    static let mostLines = 12

    /// The result for machines.
    public var json: JSON {
      [
        "equal": JSON(isEqual), "equal_tensors": JSON(difference.equal),
        "different": .array(
          difference.tensors.map {
            [
              "name": JSON($0.name), "elements": JSON($0.elements), "differing": JSON($0.differing),
              "max_abs": Self.number($0.largest), "relative_rms": Self.number($0.relativeRMS),
              "bits": JSON($0.bits),
            ]
          }),
        "only_in_first": Self.list(difference.onlyInFirst),
        "only_in_second": Self.list(difference.onlyInSecond),
        "reshaped": .array(
          difference.reshaped.map {
            ["name": JSON($0.name), "first": Self.shape($0.first), "second": Self.shape($0.second)]
          }),
        "repeated_heads": .array(
          difference.repeated.map { ["name": JSON($0.name), "times": JSON($0.times)] }),
        "neurons": .array(
          difference.neurons.map {
            [
              "layer": JSON($0.layer), "first": JSON($0.inFirst), "second": JSON($0.inSecond),
              "same_rows": JSON($0.sameRows), "same": JSON($0.same),
              "permutation": JSON($0.isPermutation), "in_order": JSON($0.isInOrder),
            ]
          }),
        "heads": .array(
          difference.heads.map {
            [
              "layer": JSON($0.layer), "groups": JSON($0.groups), "same": JSON($0.same),
              "permutation": JSON($0.isPermutation),
            ]
          }),
      ]
    }

    /// The result for people.
    public var text: String {
      var lines = ["\(difference.equal) tensors are equal"]
      lines += Self.shown(difference.tensors) {
        "\($0.name): largest difference \(Self.short($0.largest)), relative RMS "
          + "\(Self.short($0.relativeRMS)) (\(($0.bits * 10).rounded() / 10) bits agree), \($0.differing) of "
          + "\($0.elements) elements"
      }
      lines += Self.shown(difference.reshaped) { "\($0.name): \($0.first) and \($0.second)" }
      lines += Self.shown(difference.repeated) {
        "\($0.name): each head \($0.times) times in \(second)"
      }
      lines += Self.shown(difference.onlyInFirst) { "only in \(first): \($0.name) \($0.shape)" }
      lines += Self.shown(difference.onlyInSecond) { "only in \(second): \($0.name) \($0.shape)" }
      lines += Self.shown(difference.neurons, Self.describe)
      lines += Self.shown(difference.heads) {
        $0.isPermutation
          ? "layer \($0.layer): the same heads in another order"
          : "layer \($0.layer): \($0.same) of \($0.groups) key heads with their query heads are in both"
      }
      lines.append(isEqual ? "equal" : "different")
      return lines.joined(separator: "\n")
    }

    private static func describe(_ match: NeuronMatch) -> String {
      if match.isPermutation {
        return "layer \(match.layer): the same \(match.same) neurons "
          + (match.isInOrder ? "in the same order" : "in another order")
      }
      return
        "layer \(match.layer): \(match.same) neurons are in both MLPs, of \(match.inFirst) and "
        + "\(match.inSecond); \(match.sameRows) share gate and up rows"
    }

    private static func shown<Item>(_ items: [Item], _ line: (Item) -> String) -> [String] {
      let rest = items.count - mostLines
      return items.prefix(mostLines).map(line) + (rest > 0 ? ["… and \(rest) more like this"] : [])
    }

    /// Four significant digits, enough to compare by eye.
    private static func short(_ value: Double) -> String {
      guard value.isFinite, value != 0 else { return "\(value)" }
      var (scaled, exponent) = (abs(value), 0)
      while scaled >= 10 { (scaled, exponent) = (scaled / 10, exponent + 1) }
      while scaled < 1 { (scaled, exponent) = (scaled * 10, exponent - 1) }
      let rounded = (scaled * 1000).rounded() / 1000
      if (-3...4).contains(exponent) {
        var plain = rounded
        for _ in 0..<abs(exponent) { plain = exponent > 0 ? plain * 10 : plain / 10 }
        return "\(value < 0 ? "-" : "")\((plain * 1e6).rounded() / 1e6)"
      }
      return "\(value < 0 ? "-" : "")\(rounded)e\(exponent)"
    }

    private static func list(_ tensors: [(name: String, shape: [Int])]) -> JSON {
      .array(tensors.map { ["name": JSON($0.name), "shape": shape($0.shape)] })
    }

    private static func shape(_ shape: [Int]) -> JSON { .array(shape.map { JSON($0) }) }

    private static func number(_ value: Double) -> JSON {
      value.isFinite ? JSON(value) : .string("Infinity")
    }
  }

  /// Reads both folders.
  public func execute() throws -> Result {
    let folders = (
      try ModelFolder(first, access: .pread), try ModelFolder(second, access: .pread)
    )
    let difference = try CheckpointComparison(folders.0.loader, folders.1.loader).run {
      events.progress(WorkflowProgress("compare", done: $0, total: $1))
    }
    return Result(first: first, second: second, difference: difference)
  }
}
