import Formats
import Models

/// Whether a format will hold a model that is still to be made, so that no training is in vain.
public enum PlannedExport {
  /// Refuses what `format` could not hold.
  ///
  /// - Parameters:
  ///   - configuration: The `config.json` that the model will have in herd's own format.
  ///   - isTrained: Whether it is trained before it is exported.
  /// - Throws: ``ConstructionError`` with the reason.
  public static func check(
    _ configuration: ConfigurationFile, to format: OutputFormat, isTrained: Bool
  ) throws {
    let model = try MixtureModel(planned: configuration, gainsAreZero: !isTrained)
    let layout = format.make()
    if let refusal = layout.refusal(of: model) {
      throw ConstructionError(
        .refused, "the model could not be exported to \(format.rawValue): \(refusal)")
    }
    guard layout.movesEverything else { return }
    try Export.check(
      CheckpointLayouts.layout(for: layout.configuration(of: model)), holds: model, layout)
  }

  /// The same for a model whose attention becomes linear.
  public static func check(
    _ plan: LinearizationPlan, to format: OutputFormat, isTrained: Bool
  ) throws {
    try check(plan.configuration(), to: format, isTrained: isTrained)
  }

  /// The same for a model whose MLPs become experts besides, in the formats of the conversion's settings.
  public static func check(_ plan: LinearizationPlan, _ conversion: ConversionPlan) throws {
    var model = conversion.model
    model.configuration = try plan.configuration()
    model.mixers = plan.model.blocks.map(\.mixer)
    try ConversionPlan.checkExports(conversion.settings, model)
  }
}
