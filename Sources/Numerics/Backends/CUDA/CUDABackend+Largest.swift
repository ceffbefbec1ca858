extension CUDABackend {
  package func largest(_ x_RV: Tensor, into index_R: Tensor) {
    guard x_RV.rows > 0 else { return }
    // One row is worth many blocks.
    let parts = x_RV.rows == 1 ? min(128, x_RV.columns.groups(of: 2048)) : 1
    let values = scratch([parts], .f32)
    let indices = scratch([parts], .i32)
    launch(
      RowsKernel(.largest, x_RV.dtype), grid: (parts, x_RV.rows, 1), block: 512, .tensor(x_RV),
      .tensor(index_R), .tensor(values), .tensor(indices), .tensor(arrived), .int(x_RV.columns))
  }
}
