import CKernels
import Glibc

/// Rows of one product: enough for BLAS to run at full speed, few enough to stay in cache.
private let expertRows = 256

extension CPUBackend {
  package func savedWidth(of experts: ExpertWeights, for x_TD: Tensor) -> Int { experts.width }

  package func mixtureForward(
    _ x_TD: Tensor, _ experts: ExpertWeights, _ dispatch: ExpertDispatch, weights_TK: Tensor,
    into y_TD: Tensor, saved: (gate: Tensor, up: Tensor)?
  ) {
    let slots = ExpertSlots(dispatch, topK: weights_TK.columns)
    if saved == nil, x_TD.rows <= 4 {
      return decodeMixture(x_TD, experts, slots, weights_TK: weights_TK, into: y_TD)
    }
    let (width, model) = (experts.width, x_TD.columns)
    let table = kernels(x_TD.dtype)
    let hidden = scratch([slots.count, width], x_TD.dtype)
    let blocks = slots.blocks(ofAtMost: rowBlock(slots.count))
    pool.run(blocks.count) { index in
      let (expert, rows) = blocks[index]
      let order = slots.order + rows.lowerBound
      let x_RD = scratch([rows.count, model], x_TD.dtype)
      table.gather_rows(
        x_TD.pointer, order, slots.topK, model, x_RD.pointer, rows.count, model)
      let gate = saved?.gate.slice(rows) ?? scratch([rows.count, width], x_TD.dtype)
      let up = saved?.up.slice(rows) ?? scratch([rows.count, width], x_TD.dtype)
      expertLinear(x_RD, experts.gate, expert, outputs: 0..<width, into: gate.pointer)
      expertLinear(x_RD, experts.up, expert, outputs: 0..<width, into: up.pointer)
      table.expert_swiglu_forward(
        gate.pointer, up.pointer, weights_TK.pointer, order,
        hidden.pointer(at: rows.lowerBound * width), rows.count, width)
    }
    let tiles = outputTiles(tokens: x_TD.rows, columns: model)
    pool.run(tiles.count) { index in
      scatterTile(tiles[index], slots, into: y_TD, accumulate: false) {
        expert, rows, columns, tile in
        expertLinear(
          hidden.slice(rows), experts.down, expert, outputs: columns, into: tile.pointer)
      }
    }
  }

  /// `c = a · W_eᵀ` for some output rows of expert `e`'s weights `[E, O, I]`; `c` is contiguous.
  func expertLinear(
    _ a: Tensor, _ weights: Tensor, _ expert: Int, outputs: Range<Int>,
    into c: UnsafeMutableRawPointer
  ) {
    let (rows, inputs) = (a.rows, a.columns)
    let start = (expert * weights.shape[1] + outputs.lowerBound) * inputs
    var product = GEMM(
      m: rows, n: outputs.count, k: inputs, transposeA: false, transposeB: true, lda: inputs,
      ldb: inputs, ldc: outputs.count, alpha: 1, beta: 0, dtype: a.dtype)
    guard let format = weights.dtype.half else {
      return product.run(a.pointer, weights.pointer(at: start), c)
    }
    // 16-bit weights are widened panel by panel.
    let bits = weights.pointer.assumingMemoryBound(to: UInt16.self) + start
    let widen = kernels(a.dtype).widen
    let size = max(16, (1 << 18) / max(1, inputs))
    let panel = scratch([min(size, outputs.count), inputs], a.dtype)
    for part in (0..<outputs.count).blocks(ofAtMost: size) {
      widen?(format, bits + part.lowerBound * inputs, panel.pointer, part.count * inputs)
      product.n = part.count
      product.run(a.pointer, panel.pointer, c + part.lowerBound * a.dtype.byteCount)
    }
  }

  /// Sums experts' contributions into one tile of `y`. Tiles are disjoint and experts come in
  /// order, so the sums do not depend on which thread does what.
  ///
  /// - Parameter product: Writes the contribution of `rows` (positions in the dispatch) of an expert
  ///   to the given columns.
  func scatterTile(
    _ tile: OutputTile, _ slots: ExpertSlots, into y: Tensor, accumulate: Bool,
    _ product: (_ expert: Int, _ rows: Range<Int>, _ columns: Range<Int>, _ into: Tensor) -> Void
  ) {
    let table = kernels(y.dtype)
    let (columns, model) = (tile.columns, y.columns)
    if !accumulate {
      for token in tile.tokens {
        memset(
          y.pointer(at: token * model + columns.lowerBound), 0,
          columns.count * y.dtype.byteCount)
      }
    }
    let part = scratch([min(expertRows, slots.count), columns.count], y.dtype)
    for expert in 0..<slots.experts {
      let all = slots.range(of: expert, tokens: tile.tokens)
      for rows in all.blocks(ofAtMost: expertRows) {
        product(expert, rows, columns, part)
        table.scatter_add_rows(
          part.pointer, slots.order + rows.lowerBound, slots.topK, model,
          y.pointer(at: columns.lowerBound), rows.count, columns.count)
      }
    }
  }

  /// Cuts `[tokens, columns]` into tiles for all threads: by columns while they are wide enough for
  /// fast products, then by tokens.
  func outputTiles(tokens: Int, columns: Int) -> [OutputTile] {
    let wanted = pool.threads * 2
    let across = (0..<columns).blocks(ofAtMost: max(128, (columns + wanted - 1) / wanted))
    let down = max(1, min(tokens / 64, wanted / max(1, across.count)))
    let tokenBlocks = (0..<tokens).blocks(ofAtMost: max(1, (tokens + down - 1) / down))
    return tokenBlocks.flatMap { tokens in across.map { OutputTile(tokens: tokens, columns: $0) } }
  }

  /// Rows per task such that every thread gets some.
  func rowBlock(_ slots: Int) -> Int {
    max(32, min(expertRows, (slots / (pool.threads * 4) + 15) / 16 * 16))
  }
}

/// A rectangle of a mixture's output that one task computes.
struct OutputTile {
  let tokens: Range<Int>
  let columns: Range<Int>
}
