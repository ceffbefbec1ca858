import ExpertConstruction
import Formats
import Reports

/// One conversion of a sweep with the training that follows it.
struct SweepCell {
  /// Names folder and row, such as `activation-regressed-4+28top4-seed1`.
  let name: String
  /// The name without the seed: cells of one group differ in their seed only.
  let group: String
  /// The name without losses: cells of one conversion differ in their losses only.
  let conversion: String
  /// The losses variant; empty for the stages' own.
  let losses: String
  let seed: UInt64
  let convert: ConvertSettings
  /// Everything a run needs to know.
  let pipeline: Pipeline

  /// Whether it is the baseline of a narrower dense MLP.
  var isPruned: Bool { convert.strategy == Self.pruning }

  /// The strategy that keeps the most important neurons as a dense MLP.
  static let pruning = "prune"
}

/// A cell that cannot be made.
struct RefusedCell: Equatable {
  let name: String
  let reason: String
}

/// The cells of a sweep, from its settings alone.
struct SweepCells {
  /// What can be tried, first seed first.
  private(set) var cells: [SweepCell] = []
  /// What cannot, once for all seeds and losses.
  private(set) var refused: [RefusedCell] = []

  /// - Parameters:
  ///   - pipeline: A pipeline with a `sweep` section.
  ///   - home: The folder that `{run}` stands for in all cells.
  ///   - refusal: Why a conversion cannot be made of the dense model at hand; `nil` when it can.
  init(
    _ pipeline: Pipeline, home: String, refusal: (ConvertSettings) -> String? = { _ in nil }
  ) throws {
    guard let sweep = pipeline.sweep, let base = pipeline.json.object else {
      throw WorkflowError(
        "\(pipeline.path): there is no \"sweep\" section; use herd run, or add one")
    }
    var conversions: [(name: String, overrides: JSONObject, settings: ConvertSettings)] = []
    var names: Set<String> = []
    func consider(_ wanted: JSONObject) {
      let overrides =
        wanted["strategy"]?.string == SweepCell.pruning ? Self.withoutExperts(wanted) : wanted
      let name: String
      do {
        let overrides = try Self.withTopK(
          Self.withShared(overrides, base), base, sweep.activeShare)
        let settings = try Self.settings(overrides, base, pipeline.path)
        name = Self.name(settings, overrides)
        guard names.insert(name).inserted else { return }
        if let reason = Self.shareRefusal(settings, sweep.activeShare) ?? refusal(settings) {
          refused.append(RefusedCell(name: name, reason: reason))
        } else {
          conversions.append((name, overrides, settings))
        }
      } catch {
        let name = Self.plainName(overrides)
        guard names.insert(name).inserted else { return }
        refused.append(RefusedCell(name: name, reason: "\(error)"))
      }
    }
    for entry in [sweep.grid].compactMap({ $0 }) + sweep.cells {
      for overrides in Self.combinations(entry) { consider(overrides) }
    }
    for overrides in Self.pruned(conversions) { consider(overrides) }
    for seed in sweep.seeds.isEmpty ? [pipeline.seed] : sweep.seeds {
      for losses in sweep.losses.isEmpty ? [nil] : sweep.losses.map(Optional.some) {
        for conversion in conversions {
          cells.append(
            try Self.cell(
              pipeline, base, home: home, conversion.name, conversion.overrides,
              conversion.settings, losses, seed))
        }
      }
    }
  }

  /// The cell that makes the conversion of `cell`: the first of those that have it in common.
  func owner(of cell: SweepCell) -> String {
    cells.first { $0.conversion == cell.conversion }?.name ?? cell.name
  }

  /// All combinations of the values of each key, the last key fastest.
  static func combinations(_ entry: JSONObject) -> [JSONObject] {
    var combinations = [JSONObject()]
    for (key, value) in entry {
      let values = value.array ?? [value]
      combinations = combinations.flatMap { combination in
        values.map { value in
          var extended = combination
          extended[key] = value
          return extended
        }
      }
    }
    return combinations
  }

  /// A combination that leaves `shared` out has no shared units: a sweep compares like with like, and
  /// what suits a strategy differs.
  private static func withShared(_ overrides: JSONObject, _ base: JSONObject) -> JSONObject {
    guard !overrides.contains("shared"), base["convert"]?["shared"] == nil else { return overrides }
    var extended = overrides
    extended["shared"] = 0
    return extended
  }

  /// A combination that leaves `top_k` out gets the one that keeps the share active.
  private static func withTopK(
    _ overrides: JSONObject, _ base: JSONObject, _ share: Double?
  ) throws -> JSONObject {
    guard let share, !overrides.contains("top_k") else { return overrides }
    let defaults = ConvertSettings()
    func value(_ key: String, _ fallback: Int) -> Int {
      (overrides[key] ?? base["convert"]?[key])?.int ?? fallback
    }
    // With `auto` the experts are all units, of which the shared ones are a part.
    let (experts, shared) = (
      value("experts", defaults.experts), value("shared", defaults.sharedUnits)
    )
    let strategy = (overrides["strategy"] ?? base["convert"]?["strategy"])?.string
    let makesCopies = StrategyName(rawValue: strategy ?? defaults.strategy)?.makesCopies == true
    let topK = makesCopies ? share : share * Double(experts + shared) - Double(shared)
    guard topK >= 1 - 1e-9, topK <= Double(experts), (topK - topK.rounded()).magnitude < 1e-9 else {
      throw WorkflowError(
        "no top_k keeps \(Self.percent(share)) active with \(experts) routed and \(shared) shared units"
      )
    }
    var extended = overrides
    extended["top_k"] = JSON(Int(topK.rounded()))
    return extended
  }

  private static func shareRefusal(_ settings: ConvertSettings, _ wanted: Double?) -> String? {
    guard let wanted, settings.strategy != "none" else { return nil }
    let share =
      settings.makesCopies
      ? Double(settings.topK)
      : Double(settings.topK + settings.sharedUnits)
        / Double(max(1, settings.experts + settings.sharedUnits))
    guard (share - wanted).magnitude > 1e-9 else { return nil }
    return "keeps \(percent(share)) of each MLP active; this sweep compares at \(percent(wanted))"
  }

  private static func settings(
    _ overrides: JSONObject, _ base: JSONObject, _ path: String
  ) throws -> ConvertSettings {
    let settings = try ConvertSettings(
      ConfigurationFile(path: "\(path): sweep", object: merged(base["convert"]?.object, overrides)))
    try settings.checkNames()
    return settings
  }

  /// A baseline for each active share among the conversions, where the strategy exists.
  private static func pruned(
    _ conversions: [(name: String, overrides: JSONObject, settings: ConvertSettings)]
  ) -> [JSONObject] {
    guard StrategyName(rawValue: SweepCell.pruning) != nil else { return [] }
    // Copies use more than the dense MLP has; no pruned one compares with them.
    return conversions.filter {
      !["none", SweepCell.pruning].contains($0.settings.strategy) && !$0.settings.makesCopies
    }
    .map { conversion in
      var overrides: JSONObject = [
        "strategy": JSON(SweepCell.pruning), "experts": JSON(conversion.settings.experts),
        "top_k": JSON(conversion.settings.topK), "shared": JSON(conversion.settings.sharedUnits),
        "attention": "none",
      ]
      overrides["keep_dense"] = conversion.overrides["keep_dense"]
      return overrides
    }
  }

  /// A cell of the baseline has no experts to correct, to give neurons to or to vary in number.
  private static func withoutExperts(_ overrides: JSONObject) -> JSONObject {
    merged(
      overrides,
      ["recovery": "none", "assignment": .null, "drop_ratio": .null, "mean_top_k": .null])
  }

  private static func cell(
    _ pipeline: Pipeline, _ base: JSONObject, home: String, _ conversion: String,
    _ overrides: JSONObject, _ settings: ConvertSettings, _ losses: SweepSettings.LossesVariant?,
    _ seed: UInt64
  ) throws -> SweepCell {
    let group = conversion + (losses.map { "-\($0.name)" } ?? "")
    var object = base
    for key in ["sweep", "synthesize"] { object[key] = nil }
    object["name"] = JSON("\(group)-seed\(seed)")
    object["seed"] = JSON(Int(clamping: seed))
    object["convert"] = .object(merged(base["convert"]?.object, overrides))
    if let losses, let stages = base["stages"]?.array {
      object["stages"] = .array(
        stages.map { stage in
          var stage = stage.object ?? JSONObject()
          stage["losses"] = .object(merged(stage["losses"]?.object, losses.values))
          return .object(stage)
        })
    }
    object["evaluate"] = .object(
      merged(["decode_tokens": JSON(SweepSettings.decodeTokens)], base["evaluate"]?.object))
    var own = try Pipeline(path: pipeline.path, object: object)
    own.home = home
    return SweepCell(
      name: "\(group)-seed\(seed)", group: group, conversion: "\(conversion)-seed\(seed)",
      losses: losses?.name ?? "", seed: seed, convert: settings, pipeline: own)
  }

  private static func merged(_ base: JSONObject?, _ overrides: JSONObject?) -> JSONObject {
    var merged = base ?? JSONObject()
    for (key, value) in overrides ?? JSONObject() { merged[key] = value }
    return merged
  }

  // MARK: - Names

  private static let named = ["strategy", "router", "experts", "top_k", "shared", "attention"]
  /// What else tells cells of the baseline apart.
  private static let namedOfPruned = ["keep_dense"]

  private static func name(_ settings: ConvertSettings, _ overrides: JSONObject) -> String {
    if settings.strategy == SweepCell.pruning {
      let share =
        Double(settings.topK + settings.sharedUnits)
        / Double(settings.experts + settings.sharedUnits)
      return "\(SweepCell.pruning)-\(Decimals.trimmed(share * 100, places: 1))"
        + suffix(overrides) { namedOfPruned.contains($0) }
    }
    let units = settings.sharedText == "0" ? "" : "\(settings.sharedText)+"
    var name =
      settings.strategy == "none"
      ? "none"
      : "\(settings.strategy)-\(settings.routerName)-\(units)\(settings.experts)top\(settings.topK)"
    if settings.attention != "none" { name += "-\(settings.attention)" }
    return name + suffix(overrides) { !named.contains($0) }
  }

  private static func suffix(_ overrides: JSONObject, _ isShown: (String) -> Bool) -> String {
    overrides.filter { isShown($0.key) }.map { "-\($0.key)_\(plain($0.value))" }.joined()
  }

  /// A name for what could not even be read.
  private static func plainName(_ overrides: JSONObject) -> String {
    overrides.map { "\($0.key)_\(plain($0.value))" }.joined(separator: "-")
  }

  private static func plain(_ value: JSON) -> String {
    let text = value.string ?? value.serialized()
    return String(
      text.unicodeScalars.map { scalar -> Character in
        let isPlain = scalar.isASCII && (Character(scalar).isLetter || Character(scalar).isNumber)
        return isPlain || scalar == "." ? Character(scalar) : "_"
      })
  }

  private static func percent(_ share: Double) -> String {
    Decimals.trimmed(share * 100, places: 1) + " %"
  }
}

extension SweepSettings {
  /// Tokens generated to measure the speed of decoding, unless the pipeline says otherwise.
  static let decodeTokens = 64
}
