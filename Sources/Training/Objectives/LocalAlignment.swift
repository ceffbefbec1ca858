import Models
import Numerics

extension Objective {
  /// The mean over the halves of blocks that are built otherwise than the teacher's of
  /// `Σ (own - teacher's)² / Σ teacher's²`, of what the half adds to the residual stream. Each is
  /// given the teacher's residual stream, so all layers learn at once and no gradient flows between
  /// them. LaDiMo (Kim et al. 2024, arXiv 2408.04278) distils layers into experts one by one.
  ///
  /// - Parameter traces: The teacher's residual stream around each half.
  /// - Returns: `nil` for models built alike; how those of the halves that are mixtures routed.
  func localAlignment(
    _ model: LanguageModel, _ teacher: LanguageModel, _ traces: [BlockTrace],
    _ layout: SequenceLayout, checkpointing: Bool, in context: Context
  ) -> (term: Tensor?, routings: [LayerRouting]) {
    var errors: [Tensor] = []
    var routings: [LayerRouting] = []
    for (layer, part) in model.configuration.halves(differingFrom: teacher.configuration) {
      let (input_TD, target_TD) = traces[layer].around(part)
      let own = model.blocks[layer]
      let (output_TD, routing) = own.half(
        part, input_TD, layout: layout, checkpointing: checkpointing, in: context)
      let carried_TD = own.carried(part, input_TD, in: context)
      let expected_TD = teacher.blocks[layer].carried(part, input_TD, in: context)
      errors.append(
        context.relativeSquaredError(
          context.subtract(output_TD, carried_TD),
          target: context.subtract(target_TD, expected_TD)))
      if let routing {
        routings.append(LayerRouting(layer: layer, part: part, routing: routing))
      }
    }
    return (mean(errors, in: context), routings)
  }
}
