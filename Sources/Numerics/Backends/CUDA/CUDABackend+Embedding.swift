extension CUDABackend {
  package func embedding(_ ids: Tensor, weight: Tensor, into y: Tensor) {
    guard y.count > 0 else { return }
    launch(
      "embedding_\(weight.dtype.rawValue)", in: .embedding, y.dtype, grid: (ids.count, 1, 1),
      block: min(256, weight.columns.groups(of: 8 * 32) * 32), .tensor(ids), .tensor(weight),
      .tensor(y), .int(weight.rows), .int(weight.columns))
  }

  package func embeddingBackward(_ dy: Tensor, ids: Tensor, dWeight: Tensor) {
    precondition(dWeight.dtype == .f32, "embedding: gradient in \(dWeight.dtype)")
    let (tokens, vocabulary, columns) = (ids.count, dWeight.rows, dWeight.columns)
    guard tokens > 0, columns > 0 else { return }
    // A radix sort by nine bits at a time; ids outside the table sort as `vocabulary`, to the end.
    let bits = Int.bitWidth - vocabulary.leadingZeroBitCount
    var order: Tensor?
    for shift in stride(from: 0, to: bits, by: 9) {
      let sorted = scratch([tokens], .i32)
      countingSort(
        ids, in: order, keys: min(512, (vocabulary >> shift) + 1), limit: vocabulary,
        shift: shift, mask: 511, totals: nil, into: sorted, offsets: nil)
      order = sorted
    }
    launch(
      "embedding_backward", in: .embedding, dy.dtype,
      grid: (tokens, columns.groups(of: 128 * dy.dtype.vectorWidth), 1), block: 128, .tensor(dy),
      .tensor(ids), .tensor(order), .tensor(dWeight), .int(tokens), .int(vocabulary),
      .int(columns))
  }
}
