import Glibc
import Numerics

extension ConformanceCase {
  /// Linear attention over head sizes, packed documents, decays and incoming states.
  static let linearAttention: [ConformanceCase] = {
    let sizes: [LinearSizes] = [
      LinearSizes(documents: [1], dim: 64, width: 64),
      LinearSizes(documents: [63], dim: 33, width: 70),
      LinearSizes(documents: [65], dim: 128, width: 128),
      LinearSizes(documents: [130], dim: 256, width: 200),
      LinearSizes(documents: [31, 0, 1, 33, 64, 100], dim: 96, width: 40, heads: 3),
      LinearSizes(documents: [700], dim: 16, width: 16),
      LinearSizes(documents: [40], dim: 192, width: 17),
      // Long enough to be cut into parts.
      LinearSizes(documents: [1030], dim: 128, width: 128, heads: 1),
      LinearSizes(documents: [1030, 1100], dim: 64, width: 64, heads: 1),
      LinearSizes(documents: [300, 0, 129, 128], dim: 72, width: 120, heads: 3),
      LinearSizes(documents: [257], dim: 64, width: 64, heads: 1),
      // Lengths about a block, and heads, of published models.
      LinearSizes(documents: [64], dim: 96, width: 64, heads: 12),
      LinearSizes(documents: [127], dim: 192, width: 128, heads: 1),
      LinearSizes(documents: [500], dim: 16, width: 24, heads: 8),
      LinearSizes(documents: [513], dim: 128, width: 64, heads: 1),
      LinearSizes(documents: [913], dim: 40, width: 24, heads: 1),
      LinearSizes(documents: [1213], dim: 32, width: 48, heads: 1),
      LinearSizes(documents: [2048], dim: 64, width: 64, heads: 1),
      LinearSizes(documents: [5], dim: 16, width: 16, heads: 64),
    ]
    let many = [("constant", 2), ("constant", 8), ("vector", 8)].map { kind, dim in
      whole(
        LinearSizes(documents: [], dim: dim, width: dim, heads: 1, single: 66_000), kind,
        hasState: false)
    }
    return many
      + sizes.flatMap { size in
        // Token by token the last takes long.
        let kinds =
          ["none", "constant", "vector"] + (size.tokens < 600 ? ["outer"] : [])
          + (size.tokens * size.dim * size.width * size.heads < 4_000_000 ? ["elementwise"] : [])
        return kinds.flatMap { kind in [false, true].map { whole(size, kind, hasState: $0) } }
          + kinds.map { step(size, $0) }
      }
  }()

  /// A problem of linear attention.
  struct LinearSizes: Sendable {
    var documents: [Int]
    var dim: Int
    var width: Int
    var heads = 2
    /// Documents of one token instead: more than a grid's second axis has blocks.
    var single = 0

    var name: String {
      "d\(dim) e\(width) h\(heads) docs \(single > 0 ? "\(single) x 1" : "\(documents)")"
    }
    var lengths: [Int] { single > 0 ? [Int](repeating: 1, count: single) : documents }
    var tokens: Int { lengths.reduce(0, +) }
  }

  /// The decay, gradients flowing to its tensor.
  static func linearDecay(_ kind: String, _ size: LinearSizes, rows: Int, _ trial: Trial)
    -> () -> LinearAttentionDecay
  {
    switch kind {
    case "constant":
      // With published extremes: the steepest, one of a last layer, none.
      var order = size.tokens % 4
      let slopes = trial.parameter([size.heads], .f32, trial.small) { x in
        order += 1
        return [0.917, 1e-5, 0, abs(x)].map { Double(Float($0)) }[order % 4]
      }
      return { .constant(slopes_H: slopes.tensor) }
    case "vector":
      // Some gates are all but closed.
      let decays = trial.parameter([rows, size.heads * size.dim], .f32, trial.small) {
        $0 < -0.9 ? -50 : Double(Float(-0.2 * $0 * $0))
      }
      return { .vector(logDecay_TC: decays.tensor) }
    case "elementwise":
      let rates = trial.parameter([size.heads, size.dim, size.width], .f32, trial.small) {
        Double(Float(2 * $0))
      }
      let steps = trial.parameter([rows, size.heads * size.width], .f32, trial.small) {
        $0 < -0.9 ? 50 : Double(Float(0.3 * $0 * $0))
      }
      return { .elementwise(step_TE: steps.tensor, logRate_KE: rates.tensor) }
    case "outer":
      let decays = [size.dim, size.width].map { width in
        trial.parameter([rows, size.heads * width], .f32, trial.small) {
          $0 < -0.9 ? -50 : Double(Float(-0.2 * $0 * $0))
        }
      }
      return {
        .outer(logDecay_TC: decays[0].tensor, valueLogDecay_TE: decays[1].tensor)
      }
    default: return { .none }
    }
  }

  private static func whole(_ size: LinearSizes, _ kind: String, hasState: Bool) -> ConformanceCase
  {
    ConformanceCase("linearAttention \(kind) \(size.name)\(hasState ? " state" : "")") { trial in
      let context = trial.context
      let (heads, tokens) = (size.heads, size.tokens)
      let query = trial.activation([tokens, heads * size.dim])
      let key = trial.activation([tokens, heads * size.dim])
      let value = trial.activation([tokens, heads * size.width])
      let state = trial.weight([
        hasState ? size.lengths.count : 1, heads, size.dim, size.width,
      ])
      let decay = linearDecay(kind, size, rows: tokens, trial)
      let layout = SequenceLayout(documentLengths: size.lengths, in: context)
      trial.differentiate {
        let (output, final) = context.linearAttention(
          query: query.tensor, key: key.tensor, value: value.tensor, heads: heads,
          scale: 1 / Double(size.dim).squareRoot(), decay: decay(),
          documentOffsets: layout.documentOffsets, initialState: hasState ? state.tensor : nil)
        // As a norm within each head reads it, and hands its gradient back.
        let byHead = output.reshaped([tokens * heads, size.width])
        // States of very many documents take long to compare.
        if size.single > 0, size.dim > 2 {
          return [("error", trial.error(of: byHead)), ("output", output)]
        }
        let total = context.weightedSum([
          (1, trial.error(of: byHead)), (0.5, trial.error(of: final, seed: 6)),
        ])
        return [("total", total), ("output", output), ("final", final)]
      }
    }
  }

  private static func step(_ size: LinearSizes, _ kind: String) -> ConformanceCase {
    ConformanceCase("linearAttentionStep \(kind) \(size.name)") { trial in
      let (heads, rows) = (size.heads, size.documents.count)
      let state = trial.weight([rows, heads, size.dim, size.width]).value
      let output = trial.context.linearAttentionStep(
        query: trial.activation([rows, heads * size.dim]).value,
        key: trial.activation([rows, heads * size.dim]).value,
        value: trial.activation([rows, heads * size.width]).value, heads: heads, scale: 0.5,
        decay: linearDecay(kind, size, rows: rows, trial)(), state: state)
      trial.note("output", output)
      trial.note("state", state)
    }
  }
}
