import Data
import ExpertConstruction
import Formats
import Glibc
import Numerics
import Training

/// A pipeline file: everything `herd run` does, in order.
public struct Pipeline: Sendable {
  /// The YAML file.
  public let path: String
  /// A short name; the default run folder is `runs/<name>`.
  public let name: String
  /// Seed of everything random.
  public let seed: UInt64
  /// The dense checkpoint to start from; `nil` when the pipeline makes its own.
  public let model: String?
  /// Text to generate first.
  public let synthesize: SynthesizeSettings?
  /// A model to make from scratch.
  public let initialize: InitializeSettings?
  /// How to convert the dense model; `nil` trains it as it is.
  public let convert: ConvertSettings?
  /// How to make the attention of the dense model, or of the converted one, linear; `nil` leaves it.
  public let linearize: LinearizeSettings?
  /// Training stages, in order.
  public let stages: [StageSettings]
  /// What to measure before, between and after.
  public let evaluate: EvaluateSettings?
  /// Stock formats to export the final model to.
  public let export: [String]
  /// The cells of a sweep, of which the rest of the file says what they have in common.
  public let sweep: SweepSettings?
  /// A ladder of models trained from scratch, of which the rest of the file says what they have in
  /// common: ``initialize`` and ``stages`` are then each model's own, and empty here.
  public let scaling: ScalingSettings?
  /// The settings as written, for the run record.
  public let json: JSON
  /// The folder `{run}` stands for where it is not the run folder: the cells of a sweep share
  /// generated text.
  var home: String?

  private static let keys = [
    "name", "seed", "model", "synthesize", "initialize", "convert", "linearize", "stages",
    "evaluate", "export",
    "sweep", "scaling",
  ]

  /// Reads and checks a pipeline file, or `pipeline.yaml` of a folder. Data files are looked up when
  /// the run starts.
  /// - Parameter override: A seed that takes the place of the file's own.
  /// - Throws: one-line errors naming file, key and what to write instead.
  public init(contentsOf path: String, seed override: UInt64? = nil) throws {
    let path = Files.isFolder(path) ? "\(path)/pipeline.yaml" : path
    let bytes = try Files.read(path, maximumBytes: 1 << 20)
    let document = try YAML.parse(String(decoding: bytes, as: UTF8.self), path: path)
    guard var object = document.object else {
      throw WorkflowError("\(path): a pipeline is a mapping of keys; see Pipelines/quickstart")
    }
    if let override { object["seed"] = JSON(Int(clamping: override)) }
    try self.init(path: path, object: object)
  }

  /// Decodes and checks settings; `path` is named in errors, and its folder is where relative paths
  /// start.
  init(path: String, object: JSONObject) throws {
    self.path = path
    json = .object(object)
    let file = ConfigurationFile(path: path, object: object)
    try file.refuseUnknownKeys(known: Self.keys)
    name = try file.string("name", default: Self.folderName(of: path))
    let seed = try file.integer("seed", default: 1)
    guard let seed = UInt64(exactly: seed) else {
      throw ConfigurationError(
        path: path, key: "seed", expected: "an integer of at least 0", found: "\(seed)")
    }
    self.seed = seed
    model = try file.optionalString("model")
    synthesize = try file.optionalSection("synthesize").map(SynthesizeSettings.init)
    scaling = try file.optionalSection("scaling").map(ScalingSettings.init)
    let isOneModel = scaling == nil
    initialize =
      isOneModel ? try file.optionalSection("initialize").map(InitializeSettings.init) : nil
    stages =
      isOneModel && file.contains("stages")
      ? try file.sections("stages").map { try StageSettings($0) } : []
    evaluate = try file.optionalSection("evaluate").map(EvaluateSettings.init)
    sweep = try file.optionalSection("sweep").map(SweepSettings.init)
    export = try file.strings("export", default: [])
    var convert = try file.optionalSection("convert").map(ConvertSettings.init)
    convert?.exports = export
    convert?.trainsBeforeExport = !stages.isEmpty
    linearize = try file.optionalSection("linearize").map(LinearizeSettings.init)
    convert?.becomesLinear = linearize != nil
    self.convert = convert
    try check()
  }

  /// Refuses a pipeline that starts from a checkpoint.
  public func checkStartsFromScratch() throws {
    try checkIsOneRun()
    guard initialize != nil, !stages.isEmpty else {
      throw WorkflowError(
        "\(path): training from scratch needs \"initialize\" and \"stages\"; use herd run for a pipeline that starts from a checkpoint"
      )
    }
  }

  private func check() throws {
    guard scaling == nil else { return try checkScaling() }
    guard (model == nil) != (initialize == nil) else {
      throw WorkflowError(
        "\(path): give either \"model\" (a dense checkpoint) or \"initialize\" (a new model)")
    }
    guard
      initialize == nil || initialize?.tokenizer != nil
        || synthesize.map({ $0.records > 0 }) ?? false
    else {
      throw WorkflowError(
        "\(path): \"initialize\" needs \"synthesize\", from which the tokenizer is made, or a \"tokenizer\": the folder of one"
      )
    }
    let names = stages.map(\.name)
    let reserved = ["data", "dense", "initial", "converted", "linearized", "export"]
    for (index, name) in names.enumerated() {
      guard !names[..<index].contains(name), !reserved.contains(name), Self.isFolderName(name)
      else {
        throw WorkflowError(
          "\(path): stage name \"\(name)\" is taken or not a folder name; use letters, digits, - and _"
        )
      }
    }
    for stage in stages where stage.domainWeighting != nil { try checkHeldOutText(of: stage) }
    // Misspelt names are better found now than after the training.
    if let convert {
      do {
        try convert.checkNames()
      } catch {
        throw WorkflowError("\(path): \(error)")
      }
      guard export.isEmpty || convert.format == OutputFormat.herd.rawValue else {
        throw WorkflowError(
          "\(path): \"export\" starts from herd's own format; leave \"format\" out of \"convert\"")
      }
    }
    try checkLinearization()
    guard sweep == nil || (model != nil && convert != nil && export.isEmpty && evaluate != nil)
    else {
      throw WorkflowError(
        "\(path): a \"sweep\" needs \"model\", \"convert\" and \"evaluate\", and no \"export\"")
    }
    guard export.isEmpty || convert != nil || exportsLinear else {
      throw WorkflowError(
        "\(path): \"export\" writes Mixture-of-Experts formats, and of linear models \(Self.linearFormats); add \"convert\""
      )
    }
    if convert == nil { for format in export { _ = try ModelExport.target(format) } }
  }

  /// Whether all formats to export to are of linear attention.
  private var exportsLinear: Bool {
    export.allSatisfy { OutputFormat(rawValue: $0)?.make().movesEverything == true }
  }

  private static let linearFormats = OutputFormat.allCases.filter { $0.make().movesEverything }
    .map(\.rawValue).joined(separator: ", ")

  /// What a ladder leaves to its cells, and what it goes without.
  private func checkScaling() throws(WorkflowError) {
    for (key, isThere) in [
      ("model", model != nil), ("convert", convert != nil), ("linearize", linearize != nil),
      ("sweep", sweep != nil), ("export", !export.isEmpty),
    ] where isThere {
      throw WorkflowError(
        "\(path): \"scaling\" trains models from scratch and goes with no \"\(key)\"; leave it out")
    }
    guard evaluate != nil else {
      throw WorkflowError("\(path): \"scaling\" needs \"evaluate\": laws are fitted to its losses")
    }
    let stages = json["stages"]?.array ?? []
    guard stages.count == 1, stages[0]["tokens"] == nil else {
      throw WorkflowError(
        "\(path): \"scaling\" takes one stage, without \"tokens\": those are in \"scaling\"")
    }
    if let wrong = json["initialize"], wrong.object == nil {
      throw WorkflowError("\(path): \"initialize\" is no section but \(wrong.serialized())")
    }
    if let wrong = json["initialize"]?["tokenizer"], wrong.string == nil {
      throw WorkflowError(
        "\(path): \"initialize.tokenizer\" is no folder but \(wrong.serialized())")
    }
    let common = ["tokenizer", "max_positions", "rope_theta", "init"]
    for (key, _) in json["initialize"]?.object ?? JSONObject() where !common.contains(key) {
      throw WorkflowError(
        "\(path): beside \"scaling\", \"initialize\" takes \(common.joined(separator: ", ")); \"\(key)\" is not among them: sizes belong into \"scaling\", and what models cost is known of dense ones without further settings"
      )
    }
    guard
      json["initialize"]?["tokenizer"]?.string != nil || synthesize.map({ $0.records > 0 }) ?? false
    else {
      throw WorkflowError(
        "\(path): \"scaling\" needs \"synthesize\", from which the tokenizer is made, or \"initialize: {tokenizer: FOLDER}\""
      )
    }
  }

  private func checkLinearization() throws(WorkflowError) {
    guard let linearize else { return }
    do {
      try linearize.check()
    } catch {
      throw WorkflowError("\(path): linearize: \(error)")
    }
    guard !linearize.isMeasured || !linearize.data.isEmpty else {
      throw WorkflowError(
        "\(path): \"keep_softmax: auto\" measures layers on text; add \"data\" to \"linearize\"")
    }
    guard linearize.isMeasured || linearize.data.isEmpty else {
      throw WorkflowError(
        "\(path): \"data\" in \"linearize\" is for \"keep_softmax: auto\"; leave it out, or measure"
      )
    }
    guard !linearize.followsConversion || convert != nil else {
      throw WorkflowError(
        "\(path): \"after_convert\" needs \"convert\"; add it, or leave after_convert out")
    }
    if let convert {
      guard convert.format == OutputFormat.herd.rawValue, convert.attention == "none" else {
        throw WorkflowError(
          "\(path): beside \"linearize\", \"convert\" makes experts of MLPs in herd's own format; leave its \"format\" and \"attention\" out"
        )
      }
    }
    guard sweep == nil, export.isEmpty || exportsLinear else {
      throw WorkflowError(
        "\(path): \"linearize\" goes with no \"sweep\" and no \"export\" but to \(Self.linearFormats); run it on its own, and herd linearize before a sweep"
      )
    }
  }

  /// Refuses a stage that moves the shares of its domains by losses that nothing measures.
  private func checkHeldOutText(of stage: StageSettings) throws(WorkflowError) {
    let place = "\(path): stage \(stage.name): domain_weighting"
    guard let evaluate else {
      throw WorkflowError(
        "\(place) compares losses on held-out text; add \"evaluate\" with a file for each domain of the stage's data"
      )
    }
    let measured = evaluate.data.map(TokenStream.domain)
    guard let missing = stage.domains.first(where: { !measured.contains($0) }) else { return }
    throw WorkflowError(
      "\(place): no held-out text of the domain \(missing); add a file \(missing).* to \"evaluate\" (it has \(measured.joined(separator: ", ")))"
    )
  }

  /// Refuses a file that describes many runs where one is asked for.
  func checkIsOneRun() throws(WorkflowError) {
    guard sweep == nil else {
      throw WorkflowError("\(path): this is a sweep of many runs; use herd sweep \(path)")
    }
    guard scaling == nil else {
      throw WorkflowError("\(path): this is a ladder of many runs; use herd scaling \(path)")
    }
  }

  /// Refuses weights that a device has no use for: 16-bit ones belong to 16-bit products.
  func checkWeights(of stage: StageSettings, on device: Device) throws(WorkflowError) {
    guard stage.weights == .bf16, device.activations != .bf16 else { return }
    throw WorkflowError(
      "\(path): stage \(stage.name): weights: bf16 needs a GPU that computes in bf16; give --device cuda --precision bf16, or weights: f32"
    )
  }

  static func isFolderName(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.allSatisfy {
        $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
      }
  }

  private static func folderName(of path: String) -> String {
    let parts = path.split(separator: "/")
    return parts.count >= 2 ? String(parts[parts.count - 2]) : "run"
  }

  /// A path in the pipeline file as a path from here: a leading `{run}` is the run folder, a leading
  /// `{NAME}` an environment variable; other relative paths start at the pipeline file's folder.
  /// - Throws: ``WorkflowError`` when the variable is not set.
  public func resolve(_ file: String, run: String) throws(WorkflowError) -> String {
    if file.hasPrefix("{"), let end = file.firstIndex(of: "}") {
      let name = String(file[file.index(after: file.startIndex)..<end])
      let rest = file[file.index(after: end)...]
      if name == "run" { return (home ?? run) + rest }
      guard let value = getenv(name) else {
        throw WorkflowError(
          "\(path): {\(name)} in \"\(file)\" is an environment variable that is not set; export \(name)=FOLDER"
        )
      }
      return String(cString: value) + rest
    }
    if file.hasPrefix("/") { return file }
    guard let slash = path.lastIndex(of: "/") else { return file }
    return path[...slash] + file
  }
}
