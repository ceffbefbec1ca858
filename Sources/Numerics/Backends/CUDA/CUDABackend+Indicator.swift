extension CUDABackend {
  package func indicator(of columns_RK: Tensor, value: Double, into y_RC: Tensor) {
    precondition(y_RC.dtype == .f32, "indicator: \(y_RC.dtype)")
    guard y_RC.count > 0 else { return }
    launch(
      "indicator", in: .indicator, .f32, grid: (y_RC.count.groups(of: 256), 1, 1), block: 256,
      .tensor(columns_RK), .float(value), .tensor(y_RC), .long(y_RC.count),
      .int(columns_RK.columns), .int(y_RC.columns))
  }
}
