import Numerics

/// How one half of a block routed.
public typealias PartRouting = (part: BlockPart, routing: Routing)

/// The residual stream on its way through a block, each `[T, D]`.
public struct BlockTrace {
  /// Before the mixer.
  public let entry_TD: Tensor
  /// Between mixer and MLP.
  public let mixed_TD: Tensor
  /// Behind the MLP.
  public let output_TD: Tensor

  /// What one half was given and what it made of it.
  public func around(_ part: BlockPart) -> (input_TD: Tensor, output_TD: Tensor) {
    part == .attention ? (entry_TD, mixed_TD) : (mixed_TD, output_TD)
  }
}

extension Block {
  /// The residual stream after one half.
  ///
  /// - Parameters:
  ///   - x_TD: The residual stream before it, `[T, D]`.
  ///   - checkpointing: Recompute the half's activations in backward.
  public func half(
    _ part: BlockPart, _ x_TD: Tensor, layout: SequenceLayout, checkpointing: Bool = false,
    in context: Context
  ) -> (output: Tensor, routing: Routing?) {
    func run(_ x_TD: Tensor, in context: Context) -> (output: Tensor, routing: Routing?) {
      part == .attention
        ? mix(x_TD, layout: layout, in: context) : feedForward(x_TD, in: context)
    }
    guard checkpointing else { return run(x_TD, in: context) }
    let outputs = context.checkpoint([x_TD]) { context, inputs in
      let (output, routing) = run(inputs[0], in: context)
      return [output] + (routing?.tensors ?? [])
    }
    return (outputs[0], Routing(tensors: Array(outputs.dropFirst())))
  }

  /// The block with its activations recomputed in backward.
  func checkpointed(_ x_TD: Tensor, layout: SequenceLayout, in context: Context) -> (
    output: Tensor, routings: [PartRouting]
  ) {
    let outputs = context.checkpoint([x_TD]) { [self] context, inputs in
      let (output, routings) = self(inputs[0], layout: layout, in: context)
      return [output] + routings.flatMap(\.routing.tensors)
    }
    var rest = outputs.dropFirst()
    var routings: [PartRouting] = []
    for (part, _) in routers {
      let count = rest.count / (routers.count - routings.count)
      guard let routing = Routing(tensors: Array(rest.prefix(count))) else { continue }
      routings.append((part, routing))
      rest = rest.dropFirst(count)
    }
    return (outputs[0], routings)
  }
}

extension ModelConfiguration {
  /// The halves of blocks that are built otherwise than those of `other`, a model of as many blocks,
  /// in the order in which tokens meet them.
  public func halves(differingFrom other: ModelConfiguration) -> [(layer: Int, part: BlockPart)] {
    zip(blocks, other.blocks).enumerated().flatMap { layer, pair in
      let (own, other) = pair
      let differing: [(BlockPart, Bool)] = [
        (.attention, own.mixer != other.mixer), (.mlp, own.mlp != other.mlp),
      ]
      return differing.filter(\.1).map { (layer, $0.0) }
    }
  }
}
