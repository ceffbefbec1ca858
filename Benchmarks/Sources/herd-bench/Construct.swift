import ArgumentParser
import ExpertConstruction
import Numerics

/// Dividing one layer and making its router, without reading or writing files.
struct Construct: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One layer by activations with a regressed router, random weights, bf16.")
  @Option(help: "Neurons of the MLP.") var width = 14336
  @Option var hidden = 4096
  @Option(help: "Calibration tokens.") var tokens = 8192
  @Option var experts = 8
  @Option var topK = 2
  @Option var shared = 0
  @Flag(help: "Compute on an NVIDIA GPU.") var cuda = false
  @Option(help: "Layers; the first also compiles kernels.") var rounds = 2

  func run() throws {
    let context = try Context(device: cuda ? .cuda() : .cpu())
    let geometry = try SplitGeometry(width: width, experts: experts, topK: topK, shared: shared)
    let weights = MLPWeights(
      gate_ID: random([width, hidden], .bf16, 1, context),
      up_ID: random([width, hidden], .bf16, 2, context),
      down_DI: random([hidden, width], .bf16, 3, context))
    let inputs = RecordedInputs(random([tokens, hidden], .f32, 4, context), batch: 2048)
    for round in 0..<rounds {
      func layer() -> LayerUnderConstruction {
        LayerUnderConstruction(
          index: round, geometry: geometry, weights: weights, inputs: inputs, seed: 1,
          context: context)
      }
      let clustering = try timed { _ = try ActivationStrategy(refinements: 0).split(layer()) }
      let layer = layer()
      var split: NeuronSplit?
      let dividing = try timed { split = try ActivationStrategy().split(layer) }
      guard let split else { return }
      let routing = try timed {
        _ = try RegressedRouter().router(for: layer, split, allowsBias: true)
      }
      report(
        "construct \(width)x\(hidden) \(tokens) tokens \(experts)+\(shared) top-\(topK)",
        [
          "record_and_cluster_seconds": clustering, "refine_seconds": dividing - clustering,
          "router_seconds": routing, "total_seconds": dividing + routing,
        ])
    }
  }

  /// Seeded values around zero. The period is prime, so no two rows are alike.
  private func random(_ shape: [Int], _ dtype: DType, _ seed: UInt64, _ context: Context) -> Tensor
  {
    var random = RandomStream(seed: seed)
    let bound: Float = dtype == .f32 ? 1.7 : 0.03
    let block = random.uniform(1_048_573, in: -bound...bound)
    let values = (0..<shape.reduce(1, *)).map { block[$0 % block.count] }
    return context.tensor(values, shape, dtype)
  }
}
