import CDevice
import Glibc

/// One GPU: its context, the one stream all work is enqueued on, and checked calls.
package final class CUDADevice: @unchecked Sendable {
  /// The driver's functions.
  package let driver: cd_driver
  /// The stream of all work.
  package let stream: cd_handle
  /// The name, such as `NVIDIA H200`.
  package let name: String
  /// Major and minor compute capability.
  package let capability: (major: Int, minor: Int)
  /// Streaming multiprocessors.
  package let multiprocessors: Int
  /// The most dynamic shared memory a block may ask for, in bytes.
  package let sharedMemoryPerBlock: Int
  /// All memory of the device, in bytes.
  package let totalMemory: Int
  /// CUDA version the driver supports, such as 13000.
  package let driverVersion: Int
  private let context: cd_handle
  private let device: Int32

  /// Opens device `ordinal`.
  package init(_ libraries: CUDALibraries, ordinal: Int = 0) throws(DeviceError) {
    let driver = try libraries.driver.get().pointee
    func check(_ status: Int32, _ what: String) throws(DeviceError) {
      if status != 0 { throw DeviceError("\(what): \(Self.text(status, driver))") }
    }
    try check(driver.`init`(0), "the NVIDIA driver does not start")
    var (version, count, device) = (Int32(0), Int32(0), Int32(0))
    try check(driver.driver_version(&version), "the driver's version")
    try check(driver.device_count(&count), "counting GPUs")
    guard count > ordinal else {
      throw DeviceError(
        count == 0
          ? "there is a driver but no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES"
          : "GPU \(ordinal) was asked for and there are \(count); name one from 0 to \(count - 1)")
    }
    try check(driver.device_get(&device, Int32(ordinal)), "GPU \(ordinal)")
    let name = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard let base = buffer.baseAddress, driver.device_name(base, 256, device) == 0 else {
        return "GPU \(ordinal)"
      }
      return String(cString: base)
    }
    func attribute(_ id: Int32) throws(DeviceError) -> Int {
      var value: Int32 = 0
      try check(driver.device_attribute(&value, id, device), "attribute \(id) of \(name)")
      return Int(value)
    }
    var memory = 0
    try check(driver.device_memory(&memory, device), "the memory of \(name)")
    let (major, minor) = (try attribute(75), try attribute(76))
    guard major >= 8 else {
      throw DeviceError(
        "\(name) has compute capability \(major).\(minor); Herd needs 8.0 (Ampere) or later")
    }
    var (context, stream): (cd_handle?, cd_handle?)
    try check(driver.context_retain(&context, device), "\(name) cannot be opened")
    guard let context else { throw DeviceError("\(name) cannot be opened") }
    try check(driver.context_set(context), "\(name) cannot be used")
    let nonBlocking: UInt32 = 1
    try check(driver.stream_create(&stream, nonBlocking), "a stream on \(name)")
    guard let stream else { throw DeviceError("no stream on \(name)") }
    self.driver = driver
    self.context = context
    self.stream = stream
    self.device = device
    self.name = name
    capability = (major, minor)
    multiprocessors = try attribute(16)
    sharedMemoryPerBlock = try attribute(97)
    totalMemory = memory
    driverVersion = Int(version)
  }

  deinit {
    _ = driver.context_set(context)
    _ = driver.stream_destroy(stream)
    _ = driver.context_release(device)
  }

  /// Makes the device current for the calling thread.
  package func activate() { check(driver.context_set(context), "using \(name)") }

  /// Ends the program with one line when a call failed: after an error of the device nothing on it
  /// can be trusted or repeated.
  package func check(_ status: Int32, _ what: @autoclosure () -> String) {
    guard status != 0 else { return }
    stop("\(name): \(what()): \(Self.text(status, driver))")
  }

  /// Loads machine code and lets it go again.
  /// - Throws: ``DeviceError`` when the driver does not take it.
  func tryLoading(_ code: [UInt8]) throws(DeviceError) {
    activate()
    var module: cd_handle?
    let status = code.withUnsafeBytes { bytes in
      bytes.baseAddress.map { driver.module_load(&module, $0) } ?? 0
    }
    guard status == 0, let module else {
      throw DeviceError("\(name) does not take compiled kernels: \(Self.text(status, driver))")
    }
    _ = driver.module_unload(module)
  }

  /// Waits until all enqueued work is done.
  package func synchronize() {
    activate()
    check(driver.stream_wait(stream), "a kernel failed")
  }

  /// What a status of the driver means.
  static func text(_ status: Int32, _ driver: cd_driver) -> String {
    var text: UnsafePointer<CChar>?
    guard driver.error_string(status, &text) == 0, let text else { return "error \(status)" }
    return "\(String(cString: text)) (\(status))"
  }
}

/// Prints one line on standard error and ends the program with status 1.
func stop(_ message: String) -> Never {
  let line = Array("herd: \(message)\n".utf8)
  _ = write(STDERR_FILENO, line, line.count)
  // Other threads may be at work: nothing is taken down under them.
  _exit(1)
}
