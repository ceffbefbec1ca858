import CKernels

/// Which device computes, and how.
public enum Device: Sendable, Equatable {
  /// The CPU, with `threads` threads (0: one per available core) and the best instruction set up to
  /// `instructionSet`.
  case cpu(threads: Int = 0, instructionSet: InstructionSet = .avx512)

  /// An NVIDIA GPU by its number, with activations in `f32` or `bf16`. CUDA counts the fastest first,
  /// and as `nvidia-smi` does only with `CUDA_DEVICE_ORDER=PCI_BUS_ID`. Work that no kernel does is done by
  /// `hostThreads` threads of the CPU (0: one per available core).
  case cuda(ordinal: Int = 0, activations: DType = .f32, hostThreads: Int = 0)

  /// The same device with activations in `f32`, for work whose results are kept or proved.
  public var inFullPrecision: Device {
    guard case .cuda(let ordinal, _, let hostThreads) = self else { return self }
    return .cuda(ordinal: ordinal, hostThreads: hostThreads)
  }

  /// What each of `jobs` that compute side by side gets: an equal part of the CPU's threads, but one at
  /// least, and the same GPU.
  public func part(of jobs: Int) -> Device {
    guard jobs > 1 else { return self }
    func part(_ threads: Int) -> Int {
      max(1, (threads > 0 ? threads : Self.availableCores) / jobs)
    }
    return switch self {
    case .cpu(let threads, let instructionSet):
      .cpu(threads: part(threads), instructionSet: instructionSet)
    case .cuda(let ordinal, let activations, let hostThreads):
      .cuda(ordinal: ordinal, activations: activations, hostThreads: part(hostThreads))
    }
  }

  /// The element type of activations.
  public var activations: DType {
    if case .cuda(_, let activations, _) = self { activations } else { .f32 }
  }

  /// Cores this process may use: by its affinity, and by its container's quota.
  public static var availableCores: Int { Int(hk_available_cores()) }

  /// - Parameter multiprocessors: How many of a GPU kernels spread over; all unless given.
  package func makeBackend(multiprocessors: Int? = nil) throws(DeviceError) -> any Backend {
    switch self {
    case .cuda(let ordinal, let type, let hostThreads):
      try CUDABackend(
        ordinal: ordinal, activationType: type, hostThreads: hostThreads,
        multiprocessors: multiprocessors)
    case .cpu(let threads, let instructionSet):
      try CPUBackend(threads: threads, instructionSet: instructionSet)
    }
  }
}

/// SIMD instruction sets the CPU kernels are built for, in rising order.
public enum InstructionSet: String, Sendable, CaseIterable {
  case scalar, avx2, avx512
}

/// A device as reports name it.
public struct DeviceDescription: Sendable, Equatable {
  /// `cpu` or `cuda`.
  public var kind: String
  /// The instruction set or GPU architecture in use.
  public var architecture: String
  /// Threads that compute; 1 on a GPU.
  public var threads: Int
  /// The BLAS library and its chosen core.
  public var blas: String
}

/// A device that cannot be used.
public struct DeviceError: Error, CustomStringConvertible, Sendable {
  /// What is wrong and how to fix it.
  public let description: String

  package init(_ description: String) { self.description = description }
}
