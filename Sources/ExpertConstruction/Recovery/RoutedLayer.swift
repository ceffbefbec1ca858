import Numerics

/// A layer whose split and router are decided, run on the calibration text as the mixture will run.
public final class RoutedLayer {
  /// The dense layer.
  public let layer: LayerUnderConstruction
  /// Which neurons go where.
  public let split: NeuronSplit
  private let router: Router
  private let block: MixtureBlock
  private let expertOfNeuron: Tensor
  private let gains_E: Tensor?
  private var context: Context { layer.context }

  /// - Parameter block: How experts are chosen and combined.
  public init(
    _ layer: LayerUnderConstruction, _ split: NeuronSplit, _ router: Router, _ block: MixtureBlock
  ) {
    self.layer = layer
    self.split = split
    self.block = block
    let context = layer.context
    self.router = router
    expertOfNeuron = context.tensor(
      split.expertOfNeuron(width: block.geometry.width), [block.geometry.width])
    gains_E = block.rule == .gained ? context.zeros([block.geometry.experts]) : nil
  }

  /// Neurons.
  var width: Int { layer.weights.width }
  /// The model's hidden size.
  var hidden: Int { layer.weights.hidden }

  /// The text's inputs to the MLP.
  private func inputs() throws -> any LayerInputs {
    guard let inputs = layer.inputs, inputs.tokens > 0 else {
      throw ConstructionError(
        .refused, "layer \(layer.index): recovery needs calibration text; give --data FILE")
    }
    return inputs
  }

  /// Where the router sends tokens.
  func routing(_ x_TD: Tensor) -> Routing {
    let routing = context.route(
      router.scores(x_TD, context), topK: block.geometry.topK, combination: block.combination,
      gain: gains_E)
    return router.threshold.map { context.keeping(routing, atLeast: $0) } ?? routing
  }

  /// What the neurons write per unit of their down projection, with the weights of the experts they
  /// belong to: 0 where the token's experts do not hold them. `[T, I]`.
  func activations(_ x_TD: Tensor, _ routing: Routing) -> Tensor {
    context.scaleHeads(
      layer.weights.hidden(x_TD, context), routing, expertOfHead: expertOfNeuron)
  }

  /// The dense MLP's output, `[T, D]`.
  func dense(_ x_TD: Tensor) -> Tensor {
    context.linear(layer.weights.hidden(x_TD, context), weight: layer.weights.down_DI)
  }

  /// Calls `body` with each batch of the text: what enters the MLP, where it is sent, and what the
  /// layer should write, `[T, D]`.
  func forEachBatch(
    _ body: (_ x_TD: Tensor, _ routing: Routing, _ target_TD: Tensor) throws -> Void
  ) throws {
    try inputs().forEachBatch { batch in
      let x_TD = context.cast(batch, to: .f32)
      try body(x_TD, routing(x_TD), dense(x_TD))
    }
  }

  /// All batches in one: the activations of `neurons`, shared ones (of all neurons unless given),
  /// `[T, N]`, and what the mixture as converted writes and should write, `[T, D]` each.
  func record(activationsOf neurons: [Int32]? = nil) throws -> (
    activations_TN: Tensor, output_TD: Tensor, target_TD: Tensor
  ) {
    let tokens = try inputs().tokens
    let down_DI = context.cast(layer.weights.down_DI, to: .f32)
    let part = neurons.flatMap { layer.weights.units([$0], context).first }
    let activations_TN = context.empty([tokens, neurons?.count ?? width])
    let output_TD = context.empty([tokens, hidden])
    let target_TD = context.empty([tokens, hidden])
    var done = 0
    try forEachBatch { x_TD, routing, batchTarget_TD in
      let rows = done..<done + x_TD.rows
      let all_TI = activations(x_TD, routing)
      context.copy(
        part.map { $0.hidden(x_TD, context) } ?? all_TI, into: activations_TN.slice(rows))
      context.copy(
        context.product(all_TI, down_DI, transposeB: true), into: output_TD.slice(rows))
      context.copy(batchTarget_TD, into: target_TD.slice(rows))
      done = rows.upperBound
    }
    return (activations_TN, output_TD, target_TD)
  }

  /// The dense down projection, `[D, I]` row-major.
  var down: [Float] { context.read(layer.weights.down_DI) }

  /// The share of the dense output's energy that the mixture misses on the text,
  /// `Σ (own - dense)² / Σ dense²`: as it was converted, or as recovered.
  func missedShare(_ recovered: RecoveredLayer?) throws -> Double {
    let down_DI =
      recovered.map { context.tensor($0.down_DI, [hidden, width]) }
      ?? context.cast(layer.weights.down_DI, to: .f32)
    let bias_D = recovered?.bias_D.map { context.tensor($0, [hidden]) }
    var (missed, energy) = (0.0, 0.0)
    try forEachBatch { x_TD, routing, target_TD in
      let own_TD = context.product(activations(x_TD, routing), down_DI, transposeB: true)
      let error_TD = context.subtract(
        bias_D.map { context.add(own_TD, bias: $0) } ?? own_TD, target_TD)
      missed += context.readDoubles(context.columnSums(error_TD, squared: true)).reduce(0, +)
      energy += context.readDoubles(context.columnSums(target_TD, squared: true)).reduce(0, +)
    }
    return energy > 0 ? missed / energy : 0
  }
}
