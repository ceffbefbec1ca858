import CDevice
import Synchronization

/// An NVIDIA GPU: cuBLASLt for dense products, own kernels for everything else, one stream.
///
/// Nothing of CUDA is needed to build: libraries are opened at run time and kernels are compiled for
/// the GPU at hand when they are first used. Kernels, products and fills are only enqueued; a download
/// waits for them, and a large upload may.
package final class CUDABackend: Backend, @unchecked Sendable {
  package let device: CUDADevice
  package let description: DeviceDescription
  package let activationType: DType
  package let logitRows = 4096
  let allocator: CachingAllocator
  /// Converts between element types on the way to and from the device; its threads do what no
  /// kernel does.
  let host: CPUBackend
  package var hostPool: ThreadPool { host.pool }
  let products: ProductLibrary
  private let compiler: KernelCompiler
  private let cache: KernelCache
  private let modules = Mutex(Modules())
  /// Streaming multiprocessors that kernels spread over.
  let multiprocessors: Int
  /// Kernels for a few rows found so far. Like ``lastOverlaps`` only touched where work is enqueued,
  /// which one thread does at a time.
  private var rowsFunctions: [RowsKernel: cd_handle] = [:]
  /// Whether what was enqueued last is a kernel that may overlap its successor.
  var lastOverlaps = false
  /// Whether memory is filled before it is handed out.
  var isPoisoning = false
  /// A zero that kernels count up from and leave at zero.
  let arrived: Tensor

  private struct Modules {
    var loaded: [KernelVariant: Module] = [:]
  }

  /// A loaded variant and its functions by name.
  private final class Module: @unchecked Sendable {
    let handle: cd_handle
    var functions: [String: (handle: cd_handle, shared: Int)] = [:]
    init(_ handle: cd_handle) { self.handle = handle }
  }

  /// Opens GPU `ordinal` and the libraries it needs.
  /// - Parameters:
  ///   - activationType: `f32` or `bf16`.
  ///   - hostThreads: Threads of the host that work beside the GPU (0: one per available core).
  ///   - multiprocessors: How many kernels spread over; all unless given. With few, a block has several
  ///     pieces of work in a small problem too.
  /// - Throws: ``DeviceError`` naming what is missing and how to get it.
  package init(
    ordinal: Int = 0, activationType: DType = .f32, hostThreads: Int = 0,
    multiprocessors: Int? = nil, libraries: CUDALibraries = CUDALibraries(),
    cache: KernelCache = KernelCache()
  ) throws(DeviceError) {
    device = try CUDADevice(libraries, ordinal: ordinal)
    self.multiprocessors = multiprocessors ?? device.multiprocessors
    compiler = try KernelCompiler(libraries, device: device)
    allocator = CachingAllocator(DeviceMemory(device: device))
    products = try ProductLibrary(libraries, device: device)
    host = try CPUBackend(threads: hostThreads, instructionSet: .avx512)
    self.cache = cache
    arrived = Tensor(
      shape: [1], dtype: .i32, storage: allocator.allocate(byteCount: 4, for: "the arrival counter")
    )
    self.activationType = activationType
    description = DeviceDescription(
      kind: "cuda", architecture: "\(device.name), \(compiler.architecture)", threads: 1,
      blas: "cuBLASLt \(products.version), NVRTC \(compiler.version)")
    fillZero(arrived)
  }

  /// The most dynamic shared memory a block may ask for, in bytes.
  var sharedMemoryPerBlock: Int { device.sharedMemoryPerBlock }

  /// Whether the GPU has the warpgroup instructions of Hopper.
  var isHopper: Bool { device.capability == (9, 0) }

  /// An argument of a kernel, in the order of its parameters.
  enum KernelArgument {
    /// A device pointer; null for `nil`.
    case tensor(Tensor?)
    /// A 32-bit integer.
    case int(Int)
    /// A 64-bit integer.
    case long(Int)
    /// A 32-bit float.
    case float(Double)

    var bits: UInt64 {
      switch self {
      case .tensor(let tensor): UInt64(tensor?.address ?? 0)
      case .int(let value): UInt64(UInt32(bitPattern: Int32(value)))
      case .long(let value): UInt64(bitPattern: Int64(value))
      case .float(let value): UInt64(Float(value).bitPattern)
      }
    }
  }

  /// Enqueues a kernel.
  ///
  /// - Parameters:
  ///   - name: The kernel's name in `file`.
  ///   - element: The type of activations the file is compiled for; `f32` unless `bf16`.
  ///   - defines: Further definitions for the compiler.
  ///   - grid: Blocks along x, y and z.
  ///   - block: Threads per block.
  ///   - shared: Dynamic shared memory per block, in bytes.
  func launch(
    _ name: String, in file: KernelFile, _ element: DType, defines: [String] = [],
    grid: (Int, Int, Int), block: Int, shared: Int = 0, _ arguments: KernelArgument...
  ) {
    precondition(element == .f32 || element == .bf16, "\(name) is not compiled for \(element)")
    let variant = KernelVariant(file, element, defines: defines)
    enqueue(
      function(name, variant, shared: shared), name, grid: grid, block: block, shared: shared,
      overlapping: false, arguments)
  }

  /// Enqueues a kernel for a few rows; on Hopper and later it may begin while its predecessor ends.
  func launch(
    _ kernel: RowsKernel, grid: (Int, Int, Int), block: Int = 128, shared: Int = 0,
    _ arguments: KernelArgument...
  ) {
    let known = rowsFunctions[kernel]
    let function = known ?? function(kernel.name.rawValue, kernel.variant, shared: shared)
    if known == nil { rowsFunctions[kernel] = function }
    enqueue(
      function, kernel.name.rawValue, grid: grid, block: block, shared: shared,
      overlapping: device.capability.major >= 9, arguments)
  }

  /// - Parameter overlapping: The kernel calls `wait_for_previous` and `let_next_begin`. It still waits
  ///   in whole for a kernel that does not: that may have written what it reads before it waits.
  private func enqueue(
    _ function: cd_handle, _ name: String, grid: (Int, Int, Int), block: Int, shared: Int,
    overlapping: Bool, _ arguments: [KernelArgument]
  ) {
    device.activate()
    let overlaps = overlapping && lastOverlaps
    lastOverlaps = overlapping
    let status = withUnsafeTemporaryAllocation(of: UInt64.self, capacity: arguments.count) {
      slots in
      withUnsafeTemporaryAllocation(
        of: UnsafeMutableRawPointer?.self, capacity: arguments.count + 1
      ) { pointers in
        for (index, argument) in arguments.enumerated() {
          slots.initializeElement(at: index, to: argument.bits)
          pointers.initializeElement(
            at: index, to: slots.baseAddress.map { UnsafeMutableRawPointer($0 + index) })
        }
        let programmaticSerialization: Int32 = 6
        var attribute = cd_launch_attribute()
        attribute.id = programmaticSerialization
        attribute.value.flag = 1
        return withUnsafePointer(to: attribute) { attribute in
          var configuration = cd_launch_configuration(
            grid_x: UInt32(grid.0), grid_y: UInt32(grid.1), grid_z: UInt32(grid.2),
            block_x: UInt32(block), block_y: 1, block_z: 1, shared_bytes: UInt32(shared),
            stream: device.stream, attributes: attribute, attribute_count: overlaps ? 1 : 0)
          return device.driver.launch(
            &configuration, function, pointers.baseAddress, nil)
        }
      }
    }
    device.check(status, "launching \(name)")
  }

  private func function(_ name: String, _ variant: KernelVariant, shared: Int) -> cd_handle {
    modules.withLock { modules in
      let module: Module
      if let loaded = modules.loaded[variant] {
        module = loaded
      } else {
        module = load(variant)
        modules.loaded[variant] = module
      }
      if let known = module.functions[name], known.shared >= shared { return known.handle }
      var handle = module.functions[name]?.handle
      if handle == nil {
        device.check(
          device.driver.module_function(&handle, module.handle, name),
          "\(variant.file.rawValue).cu has no \(name)")
      }
      guard let handle else { stop("\(variant.file.rawValue).cu has no \(name)") }
      // Beyond 48 KiB a kernel must be given leave.
      if shared > 48 << 10 {
        let maximumDynamicSharedBytes: Int32 = 8
        device.check(
          device.driver.function_set(handle, maximumDynamicSharedBytes, Int32(shared)),
          "\(name) with \(shared >> 10) KiB of shared memory")
      }
      module.functions[name] = (handle, max(shared, 48 << 10))
      return handle
    }
  }

  private func load(_ variant: KernelVariant) -> Module {
    do throws(DeviceError) {
      let code = try cache.code(variant, compiler)
      var module: cd_handle?
      code.withUnsafeBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        device.check(
          device.driver.module_load(&module, base), "loading \(variant.file.rawValue).cu")
      }
      guard let module else { stop("\(variant.file.rawValue).cu has no machine code") }
      return Module(module)
    } catch {
      stop(error.description)
    }
  }

  /// The tensor as `f32`: itself, or converted.
  func floats(_ tensor: Tensor) -> Tensor { converted(tensor, to: .f32) }

  /// The tensor in another element type: itself, or converted. A parameter's conversion to a smaller
  /// type is kept until the parameter changes: forward, backward and every micro-batch of a step
  /// share it.
  func converted(_ tensor: Tensor, to dtype: DType) -> Tensor {
    if tensor.dtype == dtype { return tensor }
    let isKept = tensor.keepsConversion(to: dtype)
    if isKept, let kept = tensor.storage.conversion, kept.dtype == dtype,
      kept.count == tensor.count
    {
      return kept.reshaped(tensor.shape)
    }
    let result = scratch(tensor.shape, dtype)
    cast(tensor, into: result)
    if isKept { tensor.storage.conversion = result }
    return result
  }
}

extension Tensor {
  /// Whether a backend keeps the values in another element type beside these: they are a whole
  /// parameter's, and the copy is smaller than what it stands for. A wider one would take more memory
  /// than the parameters themselves.
  package func keepsConversion(to dtype: DType) -> Bool {
    storage.isParameter && byteOffset == 0 && dtype.byteCount < self.dtype.byteCount
  }
}
