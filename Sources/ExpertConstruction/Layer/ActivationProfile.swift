import Numerics

/// How active each neuron's gate is on different pieces of text: the mean `|silu(gate_n · x)|` over
/// each piece (ExpertWeaver 2026).
struct ActivationProfile {
  /// Tokens of a piece at most.
  private static let pieceTokens = 64

  /// Mean over the tokens of each piece, `[I, P]` row-major.
  let mean_IP: [Float]
  /// Pieces.
  let pieces: Int
  /// Mean over all tokens, `[I]`.
  let mean_I: [Float]
  /// Deviation over mean of a neuron's means over the kinds of text, or over the pieces where there
  /// is one kind, `[I]`.
  let variation_I: [Float]

  init(_ inputs: any LayerInputs, _ weights: MLPWeights, _ context: Context) throws {
    let segments = CalibrationSegment.cut(inputs.segments, atMost: Self.pieceTokens)
    guard segments.reduce(0, { $0 + $1.tokens }) == inputs.tokens else {
      throw ConstructionError(
        .damagedSource, "calibration text of \(inputs.tokens) tokens has segments of other lengths")
    }
    let pieceOf = segments.enumerated().flatMap {
      [Int32](repeating: Int32($0.offset), count: $0.element.tokens)
    }
    let (width, count) = (weights.width, segments.count)
    // silu alone is a gated activation whose other half is one.
    let one_I1 = context.tensor([Float](repeating: 1, count: width), [width, 1])
    var done = 0
    var sums = [Float](repeating: 0, count: count * width)
    try inputs.forEachBatch { batch in
      let gate_TI = context.linear(batch, weight: weights.gate_ID)
      let up_TI = context.linear(
        context.tensor([Float](repeating: 1, count: batch.rows), [batch.rows, 1]),
        weight: one_I1)
      let active_TI = context.absolute(
        context.swiglu(gate: context.cast(gate_TI, to: .f32), up: up_TI))
      let pieces = Array(pieceOf[done..<min(pieceOf.count, done + batch.rows)])
      let members_TP = context.indicator(of: pieces, columns: count)
      let part = context.read(context.product(members_TP, transposeA: true, active_TI))
      for index in part.indices { sums[index] += part[index] }
      done += batch.rows
    }
    guard done == inputs.tokens, sums.allSatisfy(\.isFinite) else {
      throw ConstructionError(
        .damagedSource,
        "activations on the calibration text are not finite; check the checkpoint's weights")
    }
    let domains = (segments.map(\.domain).max() ?? 0) + 1
    let groupOf = domains > 1 ? segments.map(\.domain) : Array(0..<count)
    let groups = domains > 1 ? domains : count
    var tokensOfGroup = [Float](repeating: 0, count: groups)
    for (piece, segment) in segments.enumerated() {
      tokensOfGroup[groupOf[piece]] += Float(segment.tokens)
    }
    var (means, profile) = ([Float](), [Float](repeating: 0, count: width * count))
    var variation: [Float] = []
    for neuron in 0..<width {
      var byGroup = [Float](repeating: 0, count: groups)
      var total: Float = 0
      for piece in 0..<count {
        let sum = sums[piece * width + neuron]
        profile[neuron * count + piece] = sum / Float(segments[piece].tokens)
        byGroup[groupOf[piece]] += sum
        total += sum
      }
      means.append(total / Float(max(1, inputs.tokens)))
      let values = zip(byGroup, tokensOfGroup).filter { $1 > 0 }.map { $0 / $1 }
      let mean = values.reduce(0, +) / Float(max(1, values.count))
      let square = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(max(1, values.count))
      variation.append(mean > 0 ? square.squareRoot() / mean : 0)
    }
    mean_IP = profile
    pieces = count
    mean_I = means
    variation_I = variation
  }

  /// The profiles of some neurons relative to their own mean, `[N, P]`.
  func relative(_ neurons: [Int32]) -> [Float] {
    neurons.flatMap { neuron -> [Float] in
      let mean = mean_I[Int(neuron)]
      return (0..<pieces).map {
        mean > 0 ? mean_IP[Int(neuron) * pieces + $0] / mean - 1 : 0
      }
    }
  }
}
