extension CUDABackend {
  package func rowSums(of x: Tensor, squared: Bool, into sums_R: Tensor) {
    precondition(sums_R.dtype == .f32, "rowSums: sums in \(sums_R.dtype)")
    guard x.count > 0 else { return fillZero(sums_R) }
    let x = x.dtype == .bf16 ? x : floats(x)
    launch(
      "row_sums", in: .sums, x.dtype, grid: (x.rows, 1, 1), block: 256, .tensor(x),
      .tensor(sums_R), .int(x.columns), .int(squared ? 1 : 0))
  }

  package func accumulateColumnSums(of x: Tensor, squared: Bool, into sums_C: Tensor) {
    guard x.count > 0 else { return }
    let x = x.dtype == .bf16 ? x : floats(x)
    let partial = columnParts(of: x)
    launch(
      "column_sums_double", in: .sums, x.dtype,
      grid: (x.columns.groups(of: 32), partial.rows, 1), block: 256, .tensor(x),
      .tensor(partial), .long(x.rows), .int(x.columns), .int(squared ? 1 : 0))
    addColumnParts(partial, to: sums_C)
  }

  /// Memory for sums over ranges of rows; their number is fixed, so that sums do not depend on the
  /// GPU.
  func columnParts(of x: Tensor) -> Tensor {
    scratch([min(64, x.rows.groups(of: 32)), x.columns], .f64)
  }

  /// Adds the rows of `partial` to `sums`, both `f64`, in order.
  func addColumnParts(_ partial: Tensor, to sums: Tensor) {
    precondition(partial.dtype == .f64 && sums.dtype == .f64 && sums.count == partial.columns)
    launch(
      "add_column_parts", in: .sums, .f32, grid: (partial.columns.groups(of: 256), 1, 1),
      block: 256, .tensor(partial), .tensor(sums), .int(partial.rows), .int(partial.columns))
  }
}
