import Models
import Numerics

/// The training loss of a stage: a weighted sum of terms, each in its own file.
public struct Objective {
  /// Weights of the terms.
  public let losses: Losses

  /// The loss of a micro-batch and what is worth knowing about it. Nothing has been read back.
  public struct Result {
    /// The scalar to go backward from.
    public var total: Tensor
    /// Unweighted auxiliary terms under their metric names, scalars.
    public var terms: [(name: String, value: Tensor)]
    /// Cross-entropy per token in nats, `[T]`.
    public var crossEntropy_T: Tensor
    /// KL(teacher ‖ student) per token in nats, `[T]`; `nil` without distillation.
    public var divergence_T: Tensor?
    /// Tokens per expert of each mixture layer, `[E]` `i32`.
    public var counts: [(layer: Int, part: BlockPart, counts_E: Tensor)]
  }

  /// An objective with these weights.
  public init(_ losses: Losses) { self.losses = losses }

  /// Runs the model, and the teacher where a term needs one, and adds the terms up.
  ///
  /// The language-model term is the sum over tokens weighted by `batch.lossWeights_T`; the others
  /// are means over the micro-batch and count by `batch.share`, so that the losses of a step's
  /// micro-batches add up to the loss of the step.
  /// - Parameters:
  ///   - teacher: The dense model; needed when ``Losses/needsTeacher``. Nothing of it is recorded.
  ///   - checkpointing: Recompute each block in backward.
  public func callAsFunction(
    _ model: LanguageModel, teacher: LanguageModel?, _ batch: MicroBatch, checkpointing: Bool,
    in context: Context
  ) -> Result {
    let aligned = losses.hiddenAlignment > 0
    let guide = losses.needsTeacher ? teacher : nil
    let taught = guide.map {
      $0(
        batch.tokens_T, layout: batch.layout, keepBoundaries: aligned,
        keepTraces: losses.localAlignment > 0, in: context)
    }
    var teacherLogits: (hidden: Tensor, weight: Tensor)?
    if losses.distillation > 0, let taught, let guide {
      teacherLogits = (taught.hidden_TD, guide.head.value)
    }
    func endToEnd() -> (output: LanguageModel.Output, language: LinearLoss) {
      let output = model(
        batch.tokens_T, layout: batch.layout, checkpointing: checkpointing,
        keepBoundaries: aligned, in: context)
      return (
        output,
        languageLoss(output.hidden_TD, model, batch, teacher: teacherLogits, in: context)
      )
    }
    // Where no term looks at the whole model it is only watched.
    let (output, language) =
      losses.trainsEndToEnd ? endToEnd() : context.withoutRecording(endToEnd)
    var routings = output.routings
    var weighted: [(weight: Double, scalar: Tensor)] = [(1, language.total)]
    var terms: [(name: String, value: Tensor)] = []
    func add(_ name: String, _ weight: Double, _ term: Tensor?) {
      guard weight > 0, let term else { return }
      weighted.append((weight * batch.share, term))
      terms.append((name, term.detached()))
    }
    if aligned, let taught {
      add(
        "hidden_alignment", losses.hiddenAlignment,
        hiddenAlignment(output.boundaries, taught.boundaries, in: context))
    }
    if losses.localAlignment > 0, let taught, let guide {
      let local = localAlignment(
        model, guide, taught.traces, batch.layout, checkpointing: checkpointing, in: context)
      add("local_alignment", losses.localAlignment, local.term)
      // Balance is a matter of the routing that learns.
      if !losses.trainsEndToEnd { routings = local.routings }
    }
    if losses.loadBalance > 0 {
      add("load_balance", losses.loadBalance, loadBalance(routings, in: context))
    }
    if losses.routerZ > 0 {
      add("router_z", losses.routerZ, routerZ(routings, in: context))
    }
    return Result(
      total: context.weightedSum(weighted), terms: terms,
      crossEntropy_T: language.crossEntropy_T.detached(),
      divergence_T: language.divergence_T?.detached(),
      counts: routings.map { ($0.layer, $0.part, $0.routing.counts_E.detached()) })
  }
}
