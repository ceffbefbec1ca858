extension CUDABackend {
  package func groupByExpert(
    _ experts_TK: Tensor, counts_E: Tensor, order: Tensor, offsets: Tensor
  ) {
    countingSort(
      experts_TK, in: nil, keys: counts_E.count, limit: counts_E.count, mask: Int(Int32.max),
      totals: counts_E, into: order, offsets: offsets)
  }

  /// The numbers `0..<ids.count` sorted stably by a key of their id, `(id >> shift) & mask`.
  ///
  /// - Parameters:
  ///   - order: In which order they come; their own when `nil`.
  ///   - keys: Keys are in `0..<keys`; what has another is left out.
  ///   - limit: Ids outside `0..<limit` count as `limit`.
  ///   - totals: How often each key occurs, when that is known.
  ///   - offsets: Gets where each key starts, and the total.
  func countingSort(
    _ ids: Tensor, in order: Tensor?, keys: Int, limit: Int, shift: Int = 0, mask: Int,
    totals: Tensor?, into sorted: Tensor, offsets: Tensor?
  ) {
    // Every warp of a block counts in shared memory.
    precondition(keys > 0 && keys <= 1024, "sorting by \(keys) keys: at most 1024")
    let (slots, tiles) = (ids.count, ids.count.groups(of: 1024))
    let counts = scratch([keys, max(1, tiles)], .i32)
    let sums = totals ?? scratch([keys], .i32)
    if totals == nil { fillZero(sums) }
    if tiles > 0 {
      launch(
        "count_keys", in: .expertDispatch, .f32, grid: (tiles, 1, 1), block: 256,
        shared: keys * 4, .tensor(ids), .tensor(order), .tensor(counts),
        .tensor(totals == nil ? sums : nil), .int(slots), .int(keys), .int(limit), .int(shift),
        .int(mask))
    }
    launch(
      "place_tiles", in: .expertDispatch, .f32, grid: (keys, 1, 1), block: 256, .tensor(counts),
      .tensor(sums), .tensor(offsets), .int(tiles), .int(keys))
    guard tiles > 0 else { return }
    launch(
      "scatter_slots", in: .expertDispatch, .f32, grid: (tiles, 1, 1), block: 256,
      shared: keys * 8 * 4, .tensor(ids), .tensor(order), .tensor(counts), .tensor(sorted),
      .int(slots), .int(keys), .int(limit), .int(shift), .int(mask))
  }
}
