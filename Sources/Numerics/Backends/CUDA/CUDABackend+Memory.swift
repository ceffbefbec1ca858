import CDevice

extension CUDABackend {
  package func allocate(_ shape: [Int], _ dtype: DType) -> Storage {
    if isPoisoning { lastOverlaps = false }
    return allocator.allocate(
      byteCount: shape.reduce(1, *) * dtype.byteCount, for: "a \(dtype) tensor of shape \(shape)")
  }

  package var memory: MemoryStatistics { allocator.statistics }

  package func seconds(_ body: () -> Void) -> Double {
    device.activate()
    let driver = device.driver
    let events = (0..<2).map { _ in
      var event: cd_handle?
      device.check(driver.event_create(&event, 0), "an event")
      guard let event else { stop("\(device.name): no event") }
      return event
    }
    defer { for event in events { _ = driver.event_destroy(event) } }
    device.check(driver.event_record(events[0], device.stream), "recording an event")
    body()
    device.check(driver.event_record(events[1], device.stream), "recording an event")
    device.check(driver.event_wait(events[1]), "a kernel failed")
    var milliseconds: Float = 0
    device.check(driver.event_elapsed(&milliseconds, events[0], events[1]), "reading events")
    return Double(milliseconds) * 1e-3
  }

  package func startPoisoning() {
    isPoisoning = true
    allocator.startPoisoning()
  }

  package func trim() {
    device.synchronize()
    allocator.trim()
  }

  package func fillZero(_ tensor: Tensor) {
    tensor.storage.conversion = nil
    guard tensor.byteCount > 0 else { return }
    device.activate()
    lastOverlaps = false
    device.check(
      device.driver.fill_bytes(UInt64(tensor.address), 0, tensor.byteCount, device.stream),
      "filling \(tensor.shape)")
  }

  package func copy(_ source: Tensor, into destination: Tensor) {
    precondition(source.byteCount == destination.byteCount && source.dtype == destination.dtype)
    destination.storage.conversion = nil
    guard source.byteCount > 0 else { return }
    device.activate()
    lastOverlaps = false
    device.check(
      device.driver.copy_on_device(
        UInt64(destination.address), UInt64(source.address), source.byteCount, device.stream),
      "copying \(source.shape)")
  }

  package func upload(_ bytes: UnsafeRawBufferPointer, into tensor: Tensor) {
    tensor.storage.conversion = nil
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    device.activate()
    lastOverlaps = false
    // From pageable memory the driver stages the bytes before it returns, waiting for the stream if it
    // must: the source may change or go then, but has to live until then.
    device.check(
      device.driver.copy_to_device(UInt64(tensor.address), base, bytes.count, device.stream),
      "uploading \(tensor.shape)")
  }

  package func upload(_ values: [Float], into tensor: Tensor) {
    let staged = onHost(tensor)
    host.upload(values, into: staged)
    upload(staged, into: tensor)
  }

  package func upload(_ values: [Double], into tensor: Tensor) {
    let staged = onHost(tensor)
    host.upload(values, into: staged)
    upload(staged, into: tensor)
  }

  /// Uploads a tensor of the host, which is kept until its bytes are read.
  private func upload(_ staged: Tensor, into tensor: Tensor) {
    withExtendedLifetime(staged.storage) {
      upload(UnsafeRawBufferPointer(start: staged.pointer, count: staged.byteCount), into: tensor)
    }
  }

  package func download(_ tensor: Tensor, into destination: UnsafeMutableRawBufferPointer) {
    guard let base = destination.baseAddress, tensor.byteCount > 0 else { return }
    precondition(destination.count >= tensor.byteCount)
    device.activate()
    device.check(
      device.driver.copy_to_host(base, UInt64(tensor.address), tensor.byteCount, device.stream),
      "downloading \(tensor.shape)")
    device.synchronize()
  }

  package func downloadFloats(_ tensor: Tensor) -> [Float] {
    host.downloadFloats(downloaded(tensor))
  }

  package func downloadDoubles(_ tensor: Tensor) -> [Double] {
    host.downloadDoubles(downloaded(tensor))
  }

  private func downloaded(_ tensor: Tensor) -> Tensor {
    let staged = onHost(tensor)
    withExtendedLifetime(staged.storage) {
      download(
        tensor, into: UnsafeMutableRawBufferPointer(start: staged.pointer, count: staged.byteCount))
    }
    return staged
  }

  /// Host memory for a tensor's values.
  private func onHost(_ tensor: Tensor) -> Tensor {
    host.scratch(tensor.shape, tensor.dtype)
  }
}
