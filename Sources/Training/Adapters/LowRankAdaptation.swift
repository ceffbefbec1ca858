import Formats
import Models
import Numerics

/// The adapters of a stage: each target's weight is frozen and `x Wᵀ + (alpha / rank) (x Aᵀ) Bᵀ` trained
/// (Hu et al. 2021, "LoRA", section 4.1), `A` uniform as PEFT draws it, `B` zero at first.
struct LowRankAdaptation {
  /// The linear maps that have adapters, in the model's order.
  let projections: [LinearProjection]
  /// Their adapters.
  private let adapters: [LowRankAdapter]

  /// Gives the model its adapters; none where the stage has none.
  ///
  /// - Parameter seed: Of the values of `A`.
  /// - Throws: ``SettingsError`` for a target that is no linear map, or a rank that is none there.
  init(
    _ settings: StageSettings, model: LanguageModel, seed: UInt64, in context: Context
  ) throws(SettingsError) {
    guard let lora = settings.lora else {
      (projections, adapters) = ([], [])
      return
    }
    let all = model.projections
    let names = all.map(\.weight.name)
    for pattern in lora.targets { try Self.check(pattern, names, model, settings) }
    let patterns = lora.targets.map(NamePattern.init)
    let chosen = all.enumerated().filter { entry in
      patterns.contains { $0.matches(entry.element.weight.name) }
    }
    for (_, projection) in chosen {
      let shape = projection.weight.value.shape
      guard lora.rank <= min(shape[0], shape[1]) else {
        throw SettingsError(
          "stage \(settings.name): lora: rank \(lora.rank) exceeds that of \(projection.weight.name), \(shape[0]) x \(shape[1]); give at most \(min(shape[0], shape[1]))"
        )
      }
    }
    projections = chosen.map(\.element)
    adapters = chosen.map { index, projection in
      var random = RandomStream(seed: seed, purpose: 0x10_4a << 32 | UInt64(index))
      let adapter = Self.adapter(of: projection.weight, lora, &random, in: context)
      projection.adapter = adapter
      return adapter
    }
  }

  /// The parameters that train.
  var parameters: [Parameter] { adapters.flatMap { [$0.down, $0.up] } }

  /// Names of the weights that are frozen.
  var frozen: Set<String> { Set(projections.map(\.weight.name)) }

  /// Adds what was learned to the weights: the model is an ordinary one again.
  func merge(in context: Context) {
    for projection in projections { projection.mergeAdapter(in: context) }
  }

  private static func adapter(
    of weight: Parameter, _ lora: LowRankSettings, _ random: inout RandomStream,
    in context: Context
  ) -> LowRankAdapter {
    let (outputs, inputs) = (weight.value.shape[0], weight.value.shape[1])
    let type = weight.value.dtype.statistic
    let name = weight.name.hasSuffix(".weight") ? weight.name.dropLast(7) : weight.name[...]
    // PEFT: kaiming_uniform_ with a = √5, which makes the bound 1 / √inputs.
    let bound = 1 / Double(inputs).squareRoot()
    let values = (0..<lora.rank * inputs).map { _ in bound * (2 * random.uniform() - 1) }
    return LowRankAdapter(
      down: Parameter(
        "\(name).lora_A.weight", context.tensor(values, [lora.rank, inputs], type)),
      up: Parameter("\(name).lora_B.weight", context.zeros([outputs, lora.rank], type)),
      scale: lora.alpha / Double(lora.rank))
  }

  private static func check(
    _ pattern: String, _ names: [String], _ model: LanguageModel, _ settings: StageSettings
  ) throws(SettingsError) {
    let matcher = NamePattern(pattern)
    let place = "stage \(settings.name): lora: target \"\(pattern)\""
    if let experts = model.parameters.first(where: {
      $0.value.shape.count > 2 && !ParameterName.isSensitive($0.name) && matcher.matches($0.name)
    }) {
      throw SettingsError(
        "\(place) matches \(experts.name): the experts of a layer are one stack that is multiplied at once, which leaves no room for adapters; name attention, dense or shared MLPs, and train experts in full by \"train\""
      )
    }
    guard !names.contains(where: matcher.matches) else { return }
    if let other = model.parameters.first(where: { matcher.matches($0.name) }) {
      throw SettingsError(
        "\(place) matches \(other.name), which is no linear map of attention or of a dense or shared MLP; train it in full by \"train\""
      )
    }
    let advice =
      nearestName(to: pattern, in: names).map { "did you mean \($0)?" }
      ?? "linear maps are named like \(names.last ?? "none"), and * stands for any text"
    throw SettingsError("\(place) matches no linear map of the model; \(advice)")
  }
}
