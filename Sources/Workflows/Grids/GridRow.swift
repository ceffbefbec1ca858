import Formats

/// How far a cell of a grid of runs is.
enum CellStatus: String {
  case pending, started, finished, failed, refused
}

/// What is known of one cell of a grid of runs.
protocol GridRow {
  /// The row under the keys of the grid's record.
  var json: JSONObject { get }
}

extension GridRow {
  var name: String { text("name") }
  var status: CellStatus? { CellStatus(rawValue: text("status")) }
  var isFinished: Bool { status == .finished }

  func text(_ key: String) -> String { json[key]?.string ?? "" }
  func number(_ key: String) -> Double? { json[key]?.double }

  /// Name, folder, status, and the reason of a failure in this call.
  /// - Parameter steps: The finished steps of the cell's run.
  static func head(of name: String, steps: JSONObject, failure: String?) -> JSONObject {
    var status = steps.isEmpty ? CellStatus.pending : .started
    if steps["report"] != nil { status = .finished }
    if failure != nil { status = .failed }
    var row: JSONObject = [
      "name": JSON(name), "folder": JSON("\(RunGrid.cells)/\(name)"),
      "status": JSON(status.rawValue),
    ]
    if let failure { row["reason"] = JSON(failure) }
    return row
  }

  /// The loss of each domain in an evaluation's result; `nil` where there is none.
  static func lossesByDomain(_ evaluation: JSON?) -> JSON? {
    guard let domains = evaluation?["domains"]?.object else { return nil }
    var losses = JSONObject()
    for (domain, score) in domains { losses[domain] = score["loss"] }
    return .object(losses)
  }

  /// What each finished step of a run took; `nil` before the first.
  static func seconds(_ steps: JSONObject) -> JSON? {
    guard !steps.isEmpty else { return nil }
    var seconds = JSONObject()
    for (step, result) in steps { seconds[step] = result["seconds"] }
    return .object(seconds)
  }
}
