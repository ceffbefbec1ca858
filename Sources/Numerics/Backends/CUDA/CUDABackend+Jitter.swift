extension CUDABackend {
  package func jitter(
    _ x: Tensor, by size: Double, seed: UInt64, into y: Tensor, accumulate: Bool
  ) {
    precondition(x.dtype == .f32 || y.dtype == .f32, "jitter: \(x.dtype) into \(y.dtype)")
    guard x.count > 0 else { return }
    let narrows = y.dtype != .f32
    launch(
      narrows ? "jitter_narrow" : "jitter_wide", in: .jitter, narrows ? y.dtype : x.dtype,
      grid: (x.count.groups(of: 256), 1, 1), block: 256, .tensor(x), .float(size),
      .long(Int(bitPattern: UInt(seed))), .tensor(y), .long(x.count), .int(accumulate ? 1 : 0))
  }
}
