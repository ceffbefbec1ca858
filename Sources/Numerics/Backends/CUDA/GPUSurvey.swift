/// What a machine has for computing on a GPU, and what is missing.
public struct GPUSurvey: Sendable {
  /// A part that is needed: what was found, or one line on what is missing and how to get it.
  public typealias Part = Result<String, DeviceError>

  /// The GPU with its memory, capability and the CUDA version its driver supports.
  public let gpu: Part
  /// The run-time compiler and its version; it compiled a kernel that the GPU took.
  public let compiler: Part
  /// The library of matrix products and its version; it started on the GPU.
  public let products: Part
  /// Whether there is a driver at all.
  public let hasDriver: Bool

  /// Looks at GPU `ordinal`, and tries what can fail on it.
  public init(ordinal: Int = 0) {
    let libraries = CUDALibraries()
    hasDriver = (try? libraries.driver.get()) != nil
    let opened = Result { () throws(DeviceError) in
      try CUDADevice(libraries, ordinal: ordinal)
    }
    let device = try? opened.get()
    gpu = opened.map { device in
      let (major, minor) = device.capability
      return
        "\(device.name), \(device.totalMemory >> 20) MiB, compute capability \(major).\(minor), "
        + "driver for CUDA \(device.driverVersion / 1000).\(device.driverVersion % 1000 / 10)"
    }
    compiler = Result { () throws(DeviceError) in
      guard let device else {
        return "NVRTC \(try KernelCompiler(libraries, architecture: "sm_80").version)"
      }
      let compiler = try KernelCompiler(libraries, device: device)
      try device.tryLoading(compiler.compile(KernelVariant(.indicator, .f32)))
      return "NVRTC \(compiler.version)"
    }
    products = Result { () throws(DeviceError) in
      guard let device else {
        return "cuBLASLt \(ProductLibrary.text(Int(try libraries.blas.get().pointee.version())))"
      }
      return "cuBLASLt \(try ProductLibrary(libraries, device: device).version)"
    }
  }

  /// The first thing that is missing; `nil` when the GPU can be used.
  public var obstacle: DeviceError? {
    for part in [gpu, compiler, products] {
      if case .failure(let error) = part { return error }
    }
    return nil
  }
}

extension Device {
  /// The GPU when one is usable, else the CPU; with a line on the choice where there is a driver.
  public static func automatic(
    threads: Int = 0, activations: DType = .f32
  ) -> (device: Device, note: String?) {
    let survey = GPUSurvey()
    guard let obstacle = survey.obstacle else {
      return (
        .cuda(activations: activations), "computing on \((try? survey.gpu.get()) ?? "the GPU")"
      )
    }
    return (
      .cpu(threads: threads), survey.hasDriver ? "computing on the CPU: \(obstacle)" : nil
    )
  }
}
