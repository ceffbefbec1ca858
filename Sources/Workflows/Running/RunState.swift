import Formats

/// What a run has finished, kept in `run.json` of its folder.
struct RunState {
  /// The run folder.
  let folder: String
  /// The pipeline's settings as written.
  let pipeline: JSONObject
  /// Results of finished steps, by step name.
  private(set) var steps: JSONObject

  private var path: String { "\(folder)/run.json" }

  /// Opens a run folder: a new one, or one that an earlier run of the same settings left.
  ///
  /// - Throws: ``WorkflowError`` naming the keys that changed, or when the folder holds other things.
  init(folder: String, pipeline: JSON) throws {
    self.folder = folder
    self.pipeline = pipeline.object ?? JSONObject()
    steps = JSONObject()
    guard Files.exists(path) else {
      // A kill while the first record was written leaves only its hidden beginnings.
      if Files.exists(folder),
        try Files.names(inFolder: folder).contains(where: { !$0.hasPrefix(".run.json.partial-") })
      {
        throw WorkflowError(
          "\(folder): not empty and not a run folder; give another --output or empty it")
      }
      return
    }
    let file = try ConfigurationFile(contentsOf: path)
    let changed = try differingKeys(file.section("pipeline").object, self.pipeline)
    guard changed.isEmpty else {
      throw WorkflowError(
        "\(folder): this run was started with other settings (\(changed.joined(separator: ", "))); restore them or give another --output"
      )
    }
    steps = try file.section("steps").object
  }

  /// Opens a run folder to look at.
  /// - Throws: ``WorkflowError`` when it is none.
  init(existing folder: String) throws {
    guard Files.exists("\(folder)/run.json") else {
      throw WorkflowError(
        Files.exists(folder)
          ? "\(folder): no run.json; give a folder that herd run, herd sweep or herd scaling wrote"
          : "\(folder): no such folder; check the path of the run")
    }
    let file = try ConfigurationFile(contentsOf: "\(folder)/run.json")
    self.folder = folder
    pipeline = try file.section("pipeline").object
    steps = try file.section("steps").object
  }

  /// The finished steps of a run folder; none where there is no whole record yet.
  static func steps(of folder: String) -> JSONObject {
    let file = try? ConfigurationFile(contentsOf: "\(folder)/run.json")
    return file?["steps"]?.object ?? JSONObject()
  }

  /// The result of a finished step, or `nil`.
  func result(of step: String) -> JSON? { steps[step] }

  /// Makes the run folder and notes the settings it belongs to.
  func begin() throws {
    try Files.createFolder(folder)
    if !Files.exists(path) { try write() }
  }

  /// Removes what kills in the middle of writing the record left.
  func removeLeftovers() throws {
    for name in try Files.names(inFolder: folder) where name.hasPrefix(".run.json.partial-") {
      try Files.remove("\(folder)/\(name)")
    }
  }

  /// Notes a step as finished, on disk before returning.
  /// - Parameter seconds: What it took since it was begun or gone on with.
  mutating func finish(_ step: String, _ result: JSON, seconds: Double) throws {
    var result = result.object ?? JSONObject()
    result["seconds"] = JSON((seconds * 1000).rounded() / 1000)
    steps[step] = .object(result)
    try write()
  }

  private func write() throws {
    let document: JSONObject = [
      "format_version": 1, "herd_version": JSON(ToolkitVersion.current),
      "pipeline": .object(pipeline), "steps": .object(steps),
    ]
    try Files.write(JSON.object(document).serialized(indent: 2) + "\n", to: path)
  }
}
