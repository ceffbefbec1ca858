/// Memory of a GPU.
struct DeviceMemory: BlockSource {
  let device: CUDADevice

  func newBlock(_ size: Int) -> UInt? {
    device.activate()
    var address: UInt64 = 0
    let outOfMemory: Int32 = 2
    let status = device.driver.memory_allocate(&address, size)
    if status == outOfMemory { return nil }
    device.check(status, "allocating \(size >> 20) MiB")
    return UInt(address)
  }

  func poison(_ block: UInt, _ size: Int) {
    device.activate()
    device.check(
      device.driver.fill_bytes(UInt64(block), 0xff, size, device.stream), "filling memory")
  }

  func free(_ block: UInt) {
    device.activate()
    // Kernels that were given the block may still run.
    device.synchronize()
    device.check(device.driver.memory_free(UInt64(block)), "freeing memory")
  }

  func didTrim() {}

  /// What makes a stage smaller, the cheapest first.
  private static let advice =
    "a stage fits with a smaller micro_batch or sequence_length, checkpointing: true, or "
    + "optimizer: adamw_8bit and weights: bf16; cells side by side need less with fewer --jobs"

  func outOfMemory(_ size: Int, for purpose: String, _ statistics: MemoryStatistics) -> Never {
    var (free, total) = (0, 0)
    _ = device.driver.memory_info(&free, &total)
    stop(
      "\(device.name) is out of memory: \(purpose) needs \(size >> 20) MiB with "
        + "\(statistics.inUse >> 20) MiB in use and \(free >> 20) of \(total >> 20) MiB free; "
        + Self.advice)
  }
}
