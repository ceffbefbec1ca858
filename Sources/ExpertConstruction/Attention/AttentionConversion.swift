import Formats
import Models
import Numerics

/// Carries out the attention half of a plan, layer after layer: makes routers, writes them, and
/// proves that all experts together are the dense attention. The projections are copied as they are.
final class AttentionConversion {
  private let plan: AttentionPlan
  private let hidden: Int
  private let seed: UInt64
  private let loader: ModelLoader
  private let context: Context
  /// The attention of each layer so far.
  private(set) var mixtures: [AttentionMixtureConfiguration] = []
  /// What the proofs found.
  private(set) var findings: [LayerProof.Finding] = []

  init(
    _ plan: AttentionPlan, _ source: DenseSource, _ checkpoint: Checkpoint, seed: UInt64,
    context: Context
  ) throws {
    self.plan = plan
    hidden = source.hidden
    self.seed = seed
    self.context = context
    loader = try ModelLoader(
      layout: CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint)
  }

  /// Decides, proves and writes the next layer.
  func convert(
    _ layer: Int, _ calibration: (any CalibrationSource)?, to writer: CheckpointWriter
  ) throws {
    let prefix = AttentionPlan.prefix(layer)
    let parameters = try loader.layout.configuration.parameterShapes
      .filter { $0.name.hasPrefix(prefix + ".") }
      .map { try loader.parameter(named: $0.name, in: context) }
    func weight(_ name: String) throws -> Tensor {
      guard let found = parameters.first(where: { $0.name == "\(prefix).\(name).weight" }) else {
        throw ConstructionError(.damagedSource, "\(prefix).\(name).weight is missing")
      }
      return found.value
    }
    let construction = AttentionConstruction(plan: plan, seed: seed, context: context)
    let (mixture, router) = try construction.make(
      layer, projections: (weight("v_proj"), weight("o_proj")),
      inputs: plan.usesText ? calibration?.attentionInputs(ofLayer: layer) : nil)
    let written = try write(router, mixture, layer, to: writer)
    findings.append(try prove(layer, mixture, parameters, written))
    mixtures.append(mixture)
  }

  /// Writes the router's tensors; returns them as parameters.
  private func write(
    _ router: Router, _ mixture: AttentionMixtureConfiguration, _ layer: Int,
    to writer: CheckpointWriter
  ) throws -> [Parameter] {
    try plan.routerTensors(layer, hidden: hidden).map { tensor in
      let values: [Float]
      if tensor.name.hasSuffix(".weight") {
        values = router.weight_ED
      } else if tensor.name.hasSuffix(".bias"), let bias = router.bias_E {
        values = bias
      } else {
        values = [Float](repeating: 0, count: mixture.experts)
      }
      try values.withUnsafeBytes { try writer.write(tensor.name, $0) }
      return Parameter(tensor.name, context.tensor(values, tensor.shape))
    }
  }

  private func prove(
    _ layer: Int, _ mixture: AttentionMixtureConfiguration, _ dense: [Parameter],
    _ router: [Parameter]
  ) throws -> LayerProof.Finding {
    let prefix = AttentionPlan.prefix(layer)
    var mixed = plan.attention
    mixed.mixture = mixture
    let finding = AttentionProof(hidden: hidden, seed: seed, context: context).compare(
      try plan.attention.mixer(prefix: prefix, parameters: dense, in: context),
      try mixed.mixer(prefix: prefix, parameters: dense + router, in: context))
    guard finding.error <= LayerProof.tolerance(magnitude: finding.magnitude, rounding: 0) else {
      throw ConstructionError(
        .proofFailed,
        "layer \(layer): all attention experts together differ from the dense attention by "
          + "\(finding.error) on outputs up to \(finding.magnitude); nothing was kept")
    }
    return finding
  }
}
