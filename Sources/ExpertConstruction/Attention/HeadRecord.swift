import Numerics

/// What a dense attention layer's mixer sees on calibration text, and what its heads make of it.
public protocol AttentionInputs {
  /// Tokens in all batches together.
  var tokens: Int { get }
  /// Calls `body` with each batch: the normalised rows `[T, D]` that enter the query projection and
  /// the heads' outputs `[T, heads · d]` that enter the output projection, `f32`.
  func forEachBatch(_ body: (_ input_TD: Tensor, _ heads_TC: Tensor) throws -> Void) throws
}

/// How much each query head adds to the residual stream on each calibration token.
struct HeadRecord {
  /// The mixer's inputs, `[T, D]`.
  let x_TD: Tensor
  /// `‖W_h · o_h‖²` with `o_h` the output of head `h` and `W_h` its columns of the output
  /// projection, `[T, heads]` row-major.
  let energy_TH: [Float]
  private let heads: Int
  private let context: Context

  /// - Parameter output_DC: The output projection, `f32`.
  init(_ inputs: any AttentionInputs, output_DC: Tensor, heads: Int, _ context: Context) throws {
    let (tokens, hidden) = (inputs.tokens, output_DC.rows)
    let grams = Self.grams(output_DC, heads: heads, context)
    let dim = output_DC.columns / heads
    let x_TD = context.empty([tokens, hidden])
    var energy = [Float](repeating: 0, count: tokens * heads)
    var done = 0
    try inputs.forEachBatch { input_TD, heads_TC in
      let rows = input_TD.rows
      guard done + rows <= tokens, input_TD.columns == hidden,
        heads_TC.count == rows * output_DC.columns
      else {
        throw ConstructionError(
          .damagedSource,
          "calibration inputs of shapes \(input_TD.shape), \(heads_TC.shape) do not fit this layer")
      }
      context.copy(context.cast(input_TD, to: .f32), into: x_TD.slice(done..<done + rows))
      let values = context.read(heads_TC)
      for head in 0..<heads {
        var own = [Float](repeating: 0, count: rows * dim)
        for row in 0..<rows {
          let start = (row * heads + head) * dim
          for channel in 0..<dim { own[row * dim + channel] = values[start + channel] }
        }
        let product = context.read(
          context.product(context.tensor(own, [rows, dim]), grams[head]))
        for row in 0..<rows {
          var sum: Float = 0
          for index in row * dim..<(row + 1) * dim { sum += own[index] * product[index] }
          energy[(done + row) * heads + head] = max(0, sum)
        }
      }
      done += rows
    }
    guard done == tokens, energy.allSatisfy(\.isFinite) else {
      throw ConstructionError(
        .damagedSource,
        done == tokens
          ? "attention on the calibration text is not finite; check the checkpoint's weights"
          : "calibration gave \(done) of \(tokens) tokens")
    }
    self.x_TD = x_TD
    energy_TH = energy
    self.heads = heads
    self.context = context
  }

  /// `W_hᵀ · W_h` of each head's columns of the output projection, `[d, d]`.
  static func grams(_ output_DC: Tensor, heads: Int, _ context: Context) -> [Tensor] {
    let (hidden, columns) = (output_DC.rows, output_DC.columns)
    let (values, dim) = (context.read(output_DC), output_DC.columns / heads)
    return (0..<heads).map { head in
      var own: [Float] = []
      for row in 0..<hidden {
        let start = row * columns + head * dim
        own += values[start..<start + dim]
      }
      let matrix = context.tensor(own, [hidden, dim])
      return context.product(matrix, transposeA: true, matrix)
    }
  }

  /// `√Σ ‖W_h · o_h‖²` over the heads of each unit, `[T, units]` row-major.
  ///
  /// - Parameter unitOfHead: The unit of each head; heads of -1 are left out.
  func norms(_ unitOfHead: [Int32], units: Int) -> [Float] {
    var sums = [Float](repeating: 0, count: energy_TH.count / heads * units)
    for (index, energy) in energy_TH.enumerated() {
      let unit = Int(unitOfHead[index % heads])
      if unit >= 0 { sums[index / heads * units + unit] += energy }
    }
    return sums.map { $0.squareRoot() }
  }
}
