import Formats

/// What is known of one cell of a ladder, read from its run folder.
struct ScalingRow: GridRow {
  let json: JSONObject

  /// A row of `scaling.json`.
  init(json: JSONObject) { self.json = json }

  /// The row of a cell.
  /// - Parameters:
  ///   - folder: The folder of the ladder.
  ///   - failure: Why it failed in this call, if it did.
  init(_ cell: ScalingCell, folder: String, failure: String?) {
    let steps = RunState.steps(of: "\(folder)/\(RunGrid.cells)/\(cell.name)")
    var row = Self.head(of: cell.name, steps: steps, failure: failure)
    row["architecture"] = JSON(cell.architecture.rawValue)
    row["size"] = JSON(cell.size.name)
    row["hidden_size"] = JSON(cell.size.hiddenSize)
    row["layers"] = JSON(cell.size.layers)
    row["heads"] = JSON(cell.size.heads)
    row["width"] = JSON(cell.size.width)
    row["learning_rate"] = JSON(cell.learningRate)
    row["parameters"] = JSON(cell.parameters)
    row["tokens"] = JSON(cell.tokens)
    row["compute"] = JSON(cell.compute)
    if let stage = cell.pipeline.stages.first?.name {
      row["loss"] = steps["evaluate:\(stage)"]?["mean"]
      row["loss_by_domain"] = Self.lossesByDomain(steps["evaluate:\(stage)"])
      row["training_loss"] = steps["stage:\(stage)"]?["loss"]
    }
    row["seconds"] = Self.seconds(steps)
    json = row
  }

  var architecture: ScalingArchitecture? { ScalingArchitecture(rawValue: text("architecture")) }

  /// The cell as fits see it; `nil` before it is finished.
  var point: ScalingPoint? {
    guard isFinished, let parameters = number("parameters"), let tokens = number("tokens"),
      let compute = number("compute"), let loss = number("loss"), loss.isFinite, loss > 0
    else { return nil }
    return ScalingPoint(parameters: parameters, tokens: tokens, compute: compute, loss: loss)
  }
}
