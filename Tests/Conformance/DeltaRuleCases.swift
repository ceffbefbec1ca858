import Glibc
import Numerics

extension ConformanceCase {
  /// The delta rule over head sizes, packed documents, decays and incoming states.
  static let deltaRule: [ConformanceCase] = {
    let sizes: [LinearSizes] = [
      LinearSizes(documents: [1], dim: 64, width: 64, heads: 1),
      LinearSizes(documents: [63], dim: 33, width: 70),
      LinearSizes(documents: [64], dim: 16, width: 24, heads: 4),
      LinearSizes(documents: [65], dim: 128, width: 64, heads: 4),
      LinearSizes(documents: [31, 0, 1, 33, 64, 65], dim: 64, width: 128, heads: 4),
      LinearSizes(documents: [500], dim: 16, width: 40, heads: 1),
      LinearSizes(documents: [100], dim: 128, width: 128, heads: 1),
      LinearSizes(documents: [37], dim: 200, width: 256),
      LinearSizes(documents: [0, 40], dim: 256, width: 1),
    ]
    return sizes.flatMap { size in
      ["none", "constant", "vector"].flatMap { kind in
        [false, true].map { whole(size, kind, hasState: $0) } + [step(size, kind)]
      }
    }
  }()

  /// Query, key, value and beta of `rows` tokens. Keys are about as long as a
  /// layer's, whose length is 1.
  private static func operands(_ size: LinearSizes, rows: Int, _ trial: Trial) -> [Parameter] {
    let factor = exp2(-(log2(Double(size.dim)) / 2).rounded(.down))
    return [
      trial.activation([rows, size.heads * size.dim]),
      trial.parameter([rows, size.heads * size.dim], trial.element, trial.type) { $0 * factor },
      trial.activation([rows, size.heads * size.width]),
      trial.parameter([rows, size.heads], trial.element, trial.type) { abs($0) },
    ]
  }

  private static func whole(_ size: LinearSizes, _ kind: String, hasState: Bool) -> ConformanceCase
  {
    ConformanceCase("deltaRule \(kind) \(size.name)\(hasState ? " state" : "")") { trial in
      let context = trial.context
      let x = operands(size, rows: size.tokens, trial)
      let state = trial.weight([
        hasState ? size.lengths.count : 1, size.heads, size.dim, size.width,
      ])
      let decay = linearDecay(kind, size, rows: size.tokens, trial)
      let layout = SequenceLayout(documentLengths: size.lengths, in: context)
      trial.differentiate {
        let (output, final) = context.deltaRule(
          query: x[0].tensor, key: x[1].tensor, value: x[2].tensor, beta: x[3].tensor,
          heads: size.heads, scale: 1 / Double(size.dim).squareRoot(), decay: decay(),
          documentOffsets: layout.documentOffsets, initialState: hasState ? state.tensor : nil)
        let byHead = output.reshaped([size.tokens * size.heads, size.width])
        let total = context.weightedSum([
          (1, trial.error(of: byHead)), (0.5, trial.error(of: final, seed: 6)),
        ])
        return [("total", total), ("output", output), ("final", final)]
      }
    }
  }

  private static func step(_ size: LinearSizes, _ kind: String) -> ConformanceCase {
    ConformanceCase("deltaRuleStep \(kind) \(size.name)") { trial in
      let rows = size.documents.count
      let x = operands(size, rows: rows, trial).map(\.value)
      let state = trial.weight([rows, size.heads, size.dim, size.width]).value
      let output = trial.context.deltaRuleStep(
        query: x[0], key: x[1], value: x[2], beta: x[3], heads: size.heads, scale: 0.5,
        decay: linearDecay(kind, size, rows: rows, trial)(), state: state)
      trial.note("output", output)
      trial.note("state", state)
    }
  }
}
