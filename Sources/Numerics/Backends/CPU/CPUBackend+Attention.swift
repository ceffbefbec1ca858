import CKernels
import Glibc

/// Up to this many queries the cache is read in place instead of being packed first.
private let decodeTokens = 4
/// Keys per decode task.
private let decodeChunk = 512

extension CPUBackend {
  package func attentionForward(
    query: Tensor, key: Tensor, value: Tensor, documentStarts: Tensor?, shape: AttentionShape,
    into output: Tensor, logSumExp: Tensor
  ) {
    guard query.rows > 0 else { return }
    var problem = hk_attention(
      query: query, key: key, value: value, output: output, logSumExp: logSumExp,
      documentStarts: documentStarts, shape: shape)
    if query.rows <= decodeTokens {
      decode(&problem, query.dtype)
    } else {
      prefill(&problem, query.dtype)
    }
  }

  private func prefill(_ problem: inout hk_attention, _ dtype: DType) {
    let table = kernels(dtype)
    let firstBlock = firstKey(problem) / HK_ATTENTION_KEYS
    let blocks = problem.blocks - firstBlock
    let keyHeads = problem.key_heads
    let blockSize = hk_attention_block_size(&problem)
    let packed = scratch(keyHeads * blocks * blockSize, dtype)
    let tokens = hk_attention_forward_tokens(&problem)
    let tiles = (problem.tokens + tokens - 1) / tokens
    let scratchSize = hk_attention_forward_scratch(&problem)
    withUnsafePointer(to: problem) { problem in
      pool.run(keyHeads * blocks) { index in
        let (head, block) = (index / blocks, index % blocks)
        table.attention_pack(
          problem, head, firstBlock + block, packed.pointer(at: index * blockSize))
      }
      pool.run(keyHeads * tiles) { index in
        // The last tokens see most keys: longest tasks first.
        let (head, tile) = (index % keyHeads, tiles - 1 - index / keyHeads)
        let work = scratch(scratchSize, dtype)
        table.attention_forward(
          problem, head, tile * tokens, min(problem.pointee.tokens, (tile + 1) * tokens),
          packed.pointer(at: head * blocks * blockSize), firstBlock, work.pointer)
      }
    }
  }

  private func decode(_ problem: inout hk_attention, _ dtype: DType) {
    let table = kernels(dtype)
    let first = firstKey(problem)
    let count = problem.keys - first
    let chunks = (count + decodeChunk - 1) / decodeChunk
    let keyHeads = problem.key_heads
    let size = hk_attention_decode_partial(&problem)
    let scratchSize = hk_attention_decode_scratch(&problem, decodeChunk)
    let partials = scratch(keyHeads * chunks * size, dtype)
    // A cache this short is read faster than a thread wakes.
    let tasks = count * keyHeads * problem.dim < parallelGrain ? 1 : keyHeads * chunks
    withUnsafePointer(to: problem) { problem in
      pool.run(tasks) { task in
        let work = scratch(scratchSize, dtype)
        for index in tasks == 1 ? 0..<keyHeads * chunks : task..<task + 1 {
          let (chunk, head) = (index / keyHeads, index % keyHeads)
          let start = first + chunk * decodeChunk
          table.attention_decode(
            problem, head, start, min(problem.pointee.keys, start + decodeChunk),
            partials.pointer(at: (head * chunks + chunk) * size), work.pointer)
        }
      }
      for head in 0..<keyHeads {
        table.attention_merge(problem, head, chunks, partials.pointer(at: head * chunks * size))
      }
    }
  }

  package func attentionBackward(
    _ dOutput: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
    logSumExp: Tensor, documentStarts: Tensor?, shape: AttentionShape, dQuery: Tensor, dKey: Tensor,
    dValue: Tensor
  ) {
    guard query.rows > 0 else {
      // Nobody sees what is cached.
      fillZero(dKey)
      fillZero(dValue)
      return
    }
    var problem = hk_attention(
      query: query, key: key, value: value, output: output, logSumExp: logSumExp,
      documentStarts: documentStarts, shape: shape)
    let table = kernels(query.dtype)
    let (keyHeads, blocks) = (problem.key_heads, problem.blocks)
    let gatheredSize = hk_attention_gathered_size(&problem)
    let querySize = hk_attention_dquery_size(&problem)
    let scratchSize = hk_attention_backward_scratch(&problem)
    let gathered = scratch(keyHeads * gatheredSize, query.dtype)
    // Every task owns some key blocks of one head and a dQuery of its own.
    let parts = min(blocks, partsPerHead(keyHeads))
    let partials = scratch(parts * keyHeads * querySize, query.dtype)
    let grain = 64
    let slabs = (problem.tokens + grain - 1) / grain
    withUnsafePointer(to: problem) { problem in
      let tokens = problem.pointee.tokens
      pool.run(keyHeads * slabs) { index in
        let (head, slab) = (index / slabs, index % slabs)
        table.attention_gather(
          problem, dOutput.pointer, head, slab * grain, min(tokens, (slab + 1) * grain),
          gathered.pointer(at: head * gatheredSize))
      }
      pool.run(keyHeads * parts) { index in
        let (head, part) = (index / parts, index % parts)
        let work = scratch(scratchSize, query.dtype)
        let rows = partials.pointer(at: (part * keyHeads + head) * querySize)
        memset(rows, 0, querySize * query.dtype.byteCount)
        for block in stride(from: part, to: blocks, by: parts) {
          table.attention_backward(
            problem, head, block, gathered.pointer(at: head * gatheredSize), rows, dKey.pointer,
            dValue.pointer, work.pointer)
        }
      }
      pool.run(keyHeads * slabs) { index in
        let (head, slab) = (index / slabs, index % slabs)
        table.attention_scatter(
          problem, head, slab * grain, min(tokens, (slab + 1) * grain),
          partials.pointer(at: head * querySize), parts, keyHeads * querySize, dQuery.pointer)
      }
    }
  }

  /// Parts to cut each head's key blocks into so that all threads have equal work.
  private func partsPerHead(_ keyHeads: Int) -> Int {
    var parts = 1
    while keyHeads * parts % pool.threads != 0, keyHeads * parts < 4 * pool.threads { parts += 1 }
    return parts
  }

  private func scratch(_ count: Int, _ dtype: DType) -> Tensor { scratch([count], dtype) }

  /// The first key any token sees.
  private func firstKey(_ problem: hk_attention) -> Int {
    (0..<problem.tokens).reduce(problem.keys - 1) { least, token in
      let last = token + problem.offset
      let windowed = problem.window > 0 ? max(0, last - problem.window + 1) : 0
      let start = problem.document_starts.map { Int($0[token]) } ?? 0
      return min(least, min(last, max(windowed, start)))
    }
  }
}

extension hk_attention {
  fileprivate init(
    query: Tensor, key: Tensor, value: Tensor, output: Tensor, logSumExp: Tensor,
    documentStarts: Tensor?, shape: AttentionShape
  ) {
    self.init(
      query: query.pointer, key: key.pointer, value: value.pointer, output: output.pointer,
      log_sum_exp: logSumExp.pointer, document_starts: documentStarts.map { .init($0.integers) },
      tokens: query.rows, keys: key.rows, heads: shape.heads, key_heads: shape.keyHeads,
      dim: shape.dim, offset: shape.queryOffset, window: shape.window ?? 0, scale: shape.scale)
  }

  /// Blocks all keys take.
  fileprivate var blocks: Int {
    (keys + HK_ATTENTION_KEYS - 1) / HK_ATTENTION_KEYS
  }
}
