import Formats

/// What a grid of runs has found so far, kept in a file of its folder.
protocol GridRecord: SendableMetatype {
  associatedtype Row: GridRow
  /// The file of the record, by which a folder is known.
  static var fileName: String { get }
  /// The folder of the grid.
  var folder: String { get }
  /// How many cells the last call did at a time; 1 in a record that does not say.
  var jobs: Int { get set }
  /// Why cells failed in this call, by name.
  var failures: [String: String] { get set }
  /// All cells, those that were refused last.
  var rows: [Row] { get }
  /// The record for machines.
  var json: JSON { get }
  /// The results for a terminal.
  var results: String { get }
  /// Finds out what the cells tell together; done once, after the last of them.
  mutating func conclude()
  /// Writes the record.
  func write() throws
  /// Writes `report.html` and `report.md`.
  func writeReport() throws
}

extension GridRecord {
  /// Cells that tell nothing together.
  mutating func conclude() {}

  /// Whether every cell that can be made is finished.
  var isFinished: Bool { rows.allSatisfy { $0.isFinished || $0.status == .refused } }

  /// A record's number of jobs; 1 where it says none that can be.
  static func jobs(in value: JSON?) -> Int { max(1, value?.int ?? 1) }

  /// Tells a limit of a call with so many jobs how long the kinds of steps took before it. With more jobs
  /// than then each has a smaller part of the device, in the worst case for as many times as long.
  func teach(_ limit: TimeLimit, jobs now: Int) {
    let factor = max(1, Double(now) / Double(jobs))
    for (kind, seconds) in longestSteps {
      limit.learn(kind, seconds: seconds, slowedUpTo: factor)
    }
  }

  /// The longest time that a kind of step took in any cell, in seconds.
  private var longestSteps: [String: Double] {
    var longest: [String: Double] = [:]
    let all = rows.map { $0.json["seconds"]?.object ?? JSONObject() }
    for (step, seconds) in all.joined() {
      let kind = String(step.prefix { $0 != ":" })
      guard kind != "stage", let seconds = seconds.double else { continue }
      longest[kind] = max(longest[kind] ?? 0, seconds)
    }
    return longest
  }

  /// Results and what is left, for a terminal.
  var text: String {
    let rows = rows
    var lines = [results]
    for row in rows where row.status == .refused || row.status == .failed {
      lines.append("\(row.text("status")) \(row.name): \(row.text("reason"))\n")
    }
    let possible = rows.filter { $0.status != .refused }
    let left = possible.filter { !$0.isFinished }
    let end =
      left.isEmpty
      ? "all \(possible.count) cells are finished; see \(folder)/report.html"
      : "\(possible.count - left.count) of \(possible.count) cells are finished; left: "
        + "\(left.map(\.name).joined(separator: ", ")); run the same command again to go on"
    return lines.joined() + end + "\n"
  }
}
