/// Up to this many queries the keys are split among blocks.
private let decodeTokens = 4
/// Fewest keys worth a block of their own.
private let decodeKeys = 64
/// Most splits the merging kernel takes.
private let decodeSplits = 1024

extension CUDABackend {
  package func attentionForward(
    query: Tensor, key: Tensor, value: Tensor, documentStarts: Tensor?, shape: AttentionShape,
    into output: Tensor, logSumExp: Tensor
  ) {
    guard query.rows > 0 else { return }
    guard query.rows > decodeTokens else {
      return decode(
        query: query, key: key, value: value, documentStarts: documentStarts, shape: shape,
        into: output, logSumExp: logSumExp)
    }
    let headDim = paddedHead(shape.dim)
    if usesWarpgroups(query, shape), shape.scale > 0 {
      let tile = Tile.hopperForward(headDim)
      // How many pieces of work the blocks have taken from the common list.
      let taken = scratch([1], .i32)
      fillZero(taken)
      launch(
        "attention_forward_hopper", in: .attentionHopper, query.dtype,
        defines: ["HEAD_DIM=\(headDim)"],
        grid: (min(multiprocessors, shape.heads * tile.count(query.rows)), 1, 1),
        block: tile.threads, shared: tile.shared,
        .tensor(query), .tensor(key), .tensor(value), .tensor(documentStarts), .tensor(output),
        .tensor(logSumExp), .int(query.rows), .int(key.rows), .int(shape.heads),
        .int(shape.keyHeads), .int(shape.dim), .int(shape.queryOffset), .int(shape.window ?? 0),
        .float(shape.scale), .tensor(taken))
      return
    }
    let half = query.dtype == .bf16
    let tile = half ? Tile.forward(headDim) : .float(headDim)
    launch(
      half ? "attention_forward" : "attention_forward_f32", in: half ? .attention : .attentionF32,
      query.dtype, defines: ["HEAD_DIM=\(headDim)"],
      grid: (shape.heads, tile.count(query.rows), 1), block: tile.threads, shared: tile.shared,
      .tensor(query), .tensor(key), .tensor(value), .tensor(documentStarts), .tensor(output),
      .tensor(logSumExp), .int(query.rows), .int(key.rows), .int(shape.heads),
      .int(shape.keyHeads), .int(shape.dim), .int(shape.queryOffset), .int(shape.window ?? 0),
      .float(shape.scale))
  }

  /// A few queries over a long cache: blocks for parts of the cache, then a merge.
  private func decode(
    query: Tensor, key: Tensor, value: Tensor, documentStarts: Tensor?, shape: AttentionShape,
    into output: Tensor, logSumExp: Tensor
  ) {
    let rows = query.rows * (shape.heads / shape.keyHeads)
    let rowsPerBlock = rows > 4 ? 8 : rows > 2 ? 4 : rows
    let rowTiles = (rows + rowsPerBlock - 1) / rowsPerBlock
    let blocks = shape.keyHeads * rowTiles
    let splits = max(
      1,
      min(key.rows / decodeKeys, (2 * multiprocessors + blocks - 1) / blocks, decodeSplits))
    let partials =
      splits > 1
      ? scratch([shape.keyHeads * rows * splits, shape.dim + 2], .f32) : nil
    func kernel(_ name: RowsKernel.Name) -> RowsKernel {
      RowsKernel(name, query.dtype, rows: rowsPerBlock, extent: paddedHead(shape.dim))
    }
    launch(
      kernel(.attentionDecode), grid: (splits, shape.keyHeads, rowTiles),
      .tensor(query), .tensor(key), .tensor(value), .tensor(documentStarts), .tensor(output),
      .tensor(logSumExp), .tensor(partials), .int(query.rows), .int(key.rows), .int(shape.heads),
      .int(shape.keyHeads), .int(shape.dim), .int(shape.queryOffset), .int(shape.window ?? 0),
      .float(shape.scale))
    guard let partials else { return }
    launch(
      kernel(.attentionMerge), grid: (shape.keyHeads * rows, 1, 1),
      .tensor(partials), .tensor(output), .tensor(logSumExp), .int(splits), .int(query.rows),
      .int(shape.heads), .int(shape.keyHeads), .int(shape.dim))
  }

  package func attentionBackward(
    _ dOutput: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
    logSumExp: Tensor, documentStarts: Tensor?, shape: AttentionShape, dQuery: Tensor, dKey: Tensor,
    dValue: Tensor
  ) {
    guard query.rows > 0 else { return }
    let headDim = paddedHead(shape.dim)
    let half = query.dtype == .bf16
    let file: KernelFile = half ? .attention : .attentionF32
    let suffix = half ? "" : "_f32"
    var defines = ["HEAD_DIM=\(headDim)", "BACKWARD=1"]
    var stages = 2
    if half {
      let most = max(
        Tile.backwardQuery(headDim, stages: 2).shared, Tile.backwardKey(headDim, stages: 2).shared)
      if most > sharedMemoryPerBlock { stages = 1 }
      defines.append("STAGES=\(stages)")
    }
    let hopper = usesWarpgroups(query, shape)
    let queryTile: Tile
    let keyTile: Tile
    if hopper {
      (queryTile, keyTile) = (.hopperBackwardQuery(headDim), .hopperBackwardKey(headDim))
    } else if half {
      queryTile = .backwardQuery(headDim, stages: stages)
      keyTile = .backwardKey(headDim, stages: stages)
    } else {
      (queryTile, keyTile) = (.float(headDim), .float(headDim))
    }
    let gradientFile: KernelFile = hopper ? .attentionHopper : file
    let gradientDefines = hopper ? ["HEAD_DIM=\(headDim)", "BACKWARD=1"] : defines
    let gradientSuffix = hopper ? "_hopper" : suffix

    // Per head and query what both gradients need: log-sum-exp and Σ dy·y.
    let statistics = scratch([shape.heads * query.rows, 2], .f32)
    let threadsPerRow = half ? min(32, max(4, (headDim / 8).nextPowerOfTwo)) : 32
    let rowsPerBlock = 256 / threadsPerRow
    launch(
      "attention_statistics\(suffix)", in: file, query.dtype, defines: defines,
      grid: ((query.rows * shape.heads + rowsPerBlock - 1) / rowsPerBlock, 1, 1), block: 256,
      shared: 0,
      .tensor(dOutput), .tensor(output), .tensor(logSumExp), .tensor(statistics),
      .int(query.rows), .int(shape.heads), .int(shape.dim))
    launch(
      "attention_backward_key\(gradientSuffix)", in: gradientFile, query.dtype,
      defines: gradientDefines,
      grid: (shape.keyHeads, keyTile.count(key.rows), keyTile.split), block: keyTile.threads,
      shared: keyTile.shared,
      .tensor(dOutput), .tensor(query), .tensor(key), .tensor(value), .tensor(statistics),
      .tensor(documentStarts), .tensor(dKey), .tensor(dValue), .int(query.rows), .int(key.rows),
      .int(shape.heads), .int(shape.keyHeads), .int(shape.dim), .int(shape.queryOffset),
      .int(shape.window ?? 0), .float(shape.scale))
    launch(
      "attention_backward_query\(gradientSuffix)", in: gradientFile, query.dtype,
      defines: gradientDefines,
      grid: (shape.heads, queryTile.count(query.rows), 1), block: queryTile.threads,
      shared: queryTile.shared,
      .tensor(dOutput), .tensor(query), .tensor(key), .tensor(value), .tensor(statistics),
      .tensor(documentStarts), .tensor(dQuery), .int(query.rows), .int(key.rows),
      .int(shape.heads), .int(shape.keyHeads), .int(shape.dim), .int(shape.queryOffset),
      .int(shape.window ?? 0), .float(shape.scale))
  }
}

extension CUDABackend {
  /// Whether the kernels of `attention_hopper.cu` take the problem.
  private func usesWarpgroups(_ query: Tensor, _ shape: AttentionShape) -> Bool {
    query.dtype == .bf16 && isHopper && shape.dim <= 128 && shape.dim % 8 == 0
  }
}

/// Channels per head the kernels are compiled for.
private func paddedHead(_ dim: Int) -> Int {
  dim > 192 ? 256 : (dim + 31) / 32 * 32
}

extension Int {
  fileprivate var nextPowerOfTwo: Int {
    var power = 1
    while power < self { power *= 2 }
    return power
  }
}

/// How a kernel cuts its work; the formulas are those of the constants in the kernels'
/// files.
private struct Tile: Sendable {
  /// Queries or keys per block.
  var rows: Int
  var threads = 128
  /// Bytes of shared memory.
  var shared: Int
  /// Blocks that share a tile's channels.
  var split = 1

  func count(_ total: Int) -> Int { (total + rows - 1) / rows }

  static func float(_ headDim: Int) -> Tile {
    let chunk = headDim % 64 == 0 ? 64 : 32
    return Tile(rows: 64, threads: 256, shared: (2 * 64 * (chunk + 4) + 64 * 68) * 4)
  }

  /// Bytes of a row in tiles of whole 64-channel panels.
  private static func hopperRow(_ headDim: Int) -> Int { (headDim + 63) / 64 * 128 }

  static func hopperForward(_ headDim: Int) -> Tile {
    let (groups, stages) = headDim > 64 ? (2, 2) : (3, 3)
    return Tile(
      rows: groups * 64, threads: groups * 128 + 128,
      shared: 1024 + 2 * (groups * 64 + stages * 128) * hopperRow(headDim))
  }

  static func hopperBackwardQuery(_ headDim: Int) -> Tile {
    let stages = headDim > 64 ? 2 : 3
    return Tile(
      rows: 128, threads: 384, shared: 1024 + 2 * (128 + stages * 128) * hopperRow(headDim))
  }

  static func hopperBackwardKey(_ headDim: Int) -> Tile {
    Tile(
      rows: 128, threads: 384,
      shared: 1024 + 2 * (128 + 3 * 64) * hopperRow(headDim) + 3 * 64 * 12)
  }

  static func forward(_ headDim: Int) -> Tile {
    let (rows, keys) = headDim <= 128 ? (128, 64) : (64, 32)
    return Tile(rows: rows, shared: (rows + 4 * keys) * headDim * 2)
  }

  static func backwardQuery(_ headDim: Int, stages: Int) -> Tile {
    let (rows, keys) = (headDim <= 128 ? 128 : 64, headDim <= 64 ? 64 : 32)
    return Tile(rows: rows, shared: 2 * (rows + stages * keys) * headDim * 2)
  }

  static func backwardKey(_ headDim: Int, stages: Int) -> Tile {
    let rows = headDim <= 64 ? 128 : 64
    let queries = headDim <= 64 || headDim > 128 ? 32 : 64
    return Tile(
      rows: rows, shared: 2 * (rows + stages * queries) * headDim * 2 + stages * queries * 12,
      split: headDim <= 128 ? 1 : 2)
  }
}
