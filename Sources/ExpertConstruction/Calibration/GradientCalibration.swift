import Models
import Numerics

/// Runs calibration text forward and back through the dense model for the neurons' importance
/// (LLaMA-MoE-v2's Gradient Split Plus, Qu et al. 2024: first-order Taylor importance as in SNIP, Lee
/// et al. 2019, per cluster of hidden states).
///
/// Of each layer the MLP's inputs are divided into equal clusters by balanced k-means, and each token
/// belongs to the nearest centre (v2 takes the largest product with a centre, which favours long
/// centres, and lets cluster sizes vary by 40 %). The loss of a text is the mean cross-entropy of its
/// targets, as in v2. Blocks are loaded one at a time, forward and then again backward; the
/// residual stream before every block stays in memory.
public struct GradientCalibration {
  private let loader: ModelLoader
  private let documents: [CalibrationDocument]
  private let batchTokens: Int
  private let context: Context

  /// One batch of documents.
  private struct Batch {
    let layout: SequenceLayout
    let tokens: Range<Int>
    /// What follows each token, -1 at the end of a text.
    let targets_T: Tensor
    /// Each target's share of the loss.
    let weights_T: Tensor
    /// The residual stream before each block, `[T, D]`.
    var residuals: [Tensor]
  }

  /// - Parameters:
  ///   - loader: The dense checkpoint.
  ///   - documents: Texts that do not see each other.
  ///   - batchTokens: Tokens run through a block at a time, at least one document.
  /// - Throws: ``ConstructionError`` when there is no text, nothing of it counts as a target, or a
  ///   token is not in the vocabulary.
  public init(
    _ loader: ModelLoader, documents: [CalibrationDocument], batchTokens: Int = 2048,
    context: Context
  ) throws(ConstructionError) {
    self.loader = loader
    self.documents = documents.filter { !$0.tokens.isEmpty }
    self.batchTokens = batchTokens
    self.context = context
    try CalibrationDocument.check(
      self.documents.lazy.map(\.tokens).joined(),
      vocabulary: loader.layout.configuration.vocabularySize)
    guard self.documents.contains(where: { $0.lossMask.dropFirst().contains { $0 != 0 } }) else {
      throw ConstructionError(
        .refused,
        "nothing in the calibration data is learnt from, so the loss has no gradient; "
          + "give --data with replies or plain text")
    }
  }

  /// The importance of the neurons of every layer that is not in `skipped`, by layer.
  ///
  /// - Parameters:
  ///   - clusters: Clusters per layer.
  ///   - seed: Seed of the clustering.
  ///   - progress: Called after each block, twice for each layer.
  public func importance(
    clusters: Int, seed: UInt64, skipping skipped: Set<Int> = [],
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> [Int: ClusterImportance] {
    let layers = loader.layout.configuration.blocks.count
    var batches = try embed()
    var clusterings: [Int: Clustering] = [:]
    for layer in 0..<layers {
      let block = try loader.block(layer, in: context)
      var inputs: [Tensor] = []
      for index in batches.indices {
        guard let x_TD = batches[index].residuals.last else { continue }
        let mixed = block.mix(x_TD, layout: batches[index].layout, in: context).output
        if !skipped.contains(layer) { inputs.append(block.mlpInput(mixed, in: context)) }
        batches[index].residuals.append(block.feedForward(mixed, in: context).output)
      }
      if !skipped.contains(layer) {
        clusterings[layer] = try cluster(inputs, clusters, layer: layer, seed: seed)
      }
      progress(layer + 1, 2 * layers)
    }
    var gradients = try lossGradients(&batches)
    var found: [Int: ClusterImportance] = [:]
    for layer in (0..<layers).reversed() {
      let block = try loader.block(layer, in: context)
      let clustering = clusterings[layer]
      var tally: ImportanceTally?
      for index in batches.indices {
        guard let x_TD = batches[index].residuals.popLast() else { continue }
        let tokens = batches[index].tokens
        gradients[index] = try backward(
          block, x_TD, batches[index].layout, gradients[index], layer
        ) { activations_TI, gradient_TI in
          guard let clustering else { return }
          var sums = tally ?? ImportanceTally(clusters: clusters, width: activations_TI.columns)
          tally = nil
          sums.add(
            context.read(activations_TI), context.read(gradient_TI),
            clusterOf: clustering.clusterOf[tokens],
            pool: context.backend.hostPool)
          tally = sums
        }
      }
      if let clustering, let tally {
        let importance = tally.means(tokens_E: clustering.tokens_E)
        guard importance.allSatisfy(\.isFinite) else {
          throw ConstructionError(
            .damagedSource,
            "layer \(layer): the loss's gradient is not finite; check the checkpoint's weights")
        }
        found[layer] = ClusterImportance(
          clusters: clusters, centres_ED: clustering.centres_ED, importance_EI: importance)
      }
      progress(2 * layers - layer, 2 * layers)
    }
    return found
  }

  /// How a layer's inputs fall into clusters.
  private struct Clustering {
    let centres_ED: [Float]
    /// The nearest centre of every token of all batches.
    let clusterOf: [Int32]
    let tokens_E: [Int]
  }

  private func cluster(
    _ inputs: [Tensor], _ clusters: Int, layer: Int, seed: UInt64
  ) throws -> Clustering {
    let tokens = inputs.reduce(0) { $0 + $1.rows }
    // Equal clusters take a multiple of their number; the last few tokens only look for a centre.
    let used = tokens / clusters * clusters
    guard used > 0, let columns = inputs.first?.columns else {
      throw ConstructionError(
        .refused,
        "\(tokens) calibration tokens do not make \(clusters) clusters; raise --calibration-tokens")
    }
    let x_TD = context.empty([tokens, columns])
    var done = 0
    for input in inputs {
      context.copy(context.cast(input, to: .f32), into: x_TD.slice(done..<done + input.rows))
      done += input.rows
    }
    let points = x_TD.slice(0..<used)
    var random = RandomStream(
      seed: seed, purpose: UInt64(layer) << 8 | RandomPurpose.hiddenClusters.rawValue)
    let assignment = BalancedKMeans().cluster(
      points, clusters: clusters, random: &random, context: context)
    let weight = Double(clusters) / Double(used)
    let centres = context.product(
      context.indicator(of: assignment, columns: clusters, value: weight), transposeA: true, points)
    let squares = context.read(context.rowSums(centres, squared: true))
    let scores = context.linear(
      x_TD, weight: centres, bias: context.tensor(squares.map { -0.5 * $0 }, [clusters]))
    let clusterOf = context.readIntegers(context.largest(scores))
    var counts = [Int](repeating: 0, count: clusters)
    for cluster in clusterOf {
      guard cluster >= 0 else {
        throw ConstructionError(
          .damagedSource,
          "layer \(layer): activations on the calibration text are not finite; check the "
            + "checkpoint's weights")
      }
      counts[Int(cluster)] += 1
    }
    return Clustering(
      centres_ED: context.read(centres), clusterOf: clusterOf, tokens_E: counts)
  }

  /// The batches with the embedded text.
  private func embed() throws -> [Batch] {
    var batches: [Batch] = []
    var pending: [CalibrationDocument] = []
    var (count, start) = (0, 0)
    for (index, document) in documents.enumerated() {
      pending.append(document)
      count += document.tokens.count
      guard count >= batchTokens || index == documents.count - 1 else { continue }
      var (targets, weights) = ([Int32](), [Float]())
      for text in pending {
        let learnt = text.lossMask.dropFirst().reduce(0) { $0 + ($1 == 0 ? 0 : 1) }
        targets += text.tokens.dropFirst() + [-1]
        weights += text.lossMask.dropFirst().map { $0 == 0 ? 0 : 1 / Float(learnt) } + [0]
      }
      let layout = SequenceLayout(documentLengths: pending.map(\.tokens.count), in: context)
      batches.append(
        Batch(
          layout: layout,
          tokens: start..<start + count, targets_T: context.tensor(targets, [count]),
          weights_T: context.tensor(weights, [count]),
          residuals: [
            try loader.embedding(of: pending.flatMap(\.tokens), layout: layout, in: context)
          ]))
      start += count
      (pending, count) = ([], 0)
    }
    return batches
  }

  /// The loss's gradient with respect to the last residual stream of each batch, which is dropped.
  private func lossGradients(_ batches: inout [Batch]) throws -> [Tensor] {
    let configuration = loader.layout.configuration
    let gain = try loader.parameter(named: ParameterName.finalNorm, in: context)
    let head = try loader.parameter(
      named: configuration.tiedEmbeddings ? ParameterName.embedding : ParameterName.head,
      in: context)
    let norm = RMSNorm(weight_D: gain.value, epsilon: configuration.normEpsilon)
    return batches.indices.map { index in
      guard let x_TD = batches[index].residuals.popLast() else { return context.zeros([0]) }
      let leaf = Parameter("residual", x_TD, isTrainable: true)
      context.recording {
        context.linearCrossEntropy(
          context.rmsNorm(leaf.tensor, norm), weight: head.value, targets: batches[index].targets_T,
          lossWeights: batches[index].weights_T
        ).total
      }
      return leaf.gradient ?? context.zeros(x_TD.shape, x_TD.dtype)
    }
  }

  /// Takes a gradient back through one block, whose activations are computed again.
  private func backward(
    _ block: Block, _ x_TD: Tensor, _ layout: SequenceLayout, _ gradient_TD: Tensor, _ layer: Int,
    _ observe: @escaping (_ activations_TI: Tensor, _ gradient_TI: Tensor) -> Void
  ) throws -> Tensor {
    let (leaf, context) = (Parameter("residual", x_TD, isTrainable: true), context)
    context.tape = Tape()
    defer { context.tape = nil }
    let mixed_TD = block.mix(leaf.tensor, layout: layout, in: context).output
    let output_TD = block.feedForward(
      mixed_TD,
      throughNeurons: { hidden_TI in
        let activations_TI = hidden_TI.detached()
        return context.observingGradient(of: hidden_TI) { observe(activations_TI, $0) }
      }, in: context)
    guard let output_TD else {
      throw ConstructionError(.refused, "layer \(layer): the source's MLP is a mixture already")
    }
    context.backward(from: [(output_TD, gradient_TD)])
    return leaf.gradient ?? context.zeros(x_TD.shape, x_TD.dtype)
  }
}
