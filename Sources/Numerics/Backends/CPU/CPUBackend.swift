import CKernels
import COpenBLAS
import Glibc

/// The CPU: OpenBLAS for matrix products, C kernels for everything else, one thread pool.
///
/// Work runs when it is enqueued. BLAS itself is kept single-threaded: products are split here, so
/// that the pool is the only source of parallelism.
package final class CPUBackend: Backend, @unchecked Sendable {
  package let pool: ThreadPool
  package var hostPool: ThreadPool { pool }
  package let allocator = CachingAllocator(HostMemory())
  package let description: DeviceDescription
  package let activationType = DType.f32
  package let logitRows = 256
  package var fused: (any FusedKernels)? { nil }
  private let f32: UnsafePointer<hk_kernels>
  private let f64: UnsafePointer<hk_kernels>

  package init(threads: Int, instructionSet: InstructionSet) throws(DeviceError) {
    let wanted = hk_isa(UInt32(InstructionSet.allCases.firstIndex(of: instructionSet) ?? 0))
    let best = hk_best_isa()
    let isa = wanted.rawValue < best.rawValue ? wanted : best
    guard let f32 = hk_kernels_f32(isa), let f64 = hk_kernels_f64() else {
      throw DeviceError("this CPU runs none of the kernel sets; please report its model name")
    }
    self.f32 = f32
    self.f64 = f64
    let count = threads > 0 ? threads : Int(hk_available_cores())
    pool = try ThreadPool(threads: count)
    openblas_set_num_threads(1)
    description = DeviceDescription(
      kind: "cpu", architecture: InstructionSet.allCases[Int(isa.rawValue)].rawValue,
      threads: count,
      blas: String(cString: openblas_get_config()).split(separator: " ").prefix(2)
        .joined(separator: " ") + " " + String(cString: openblas_get_corename()))
  }

  /// The kernel table for a real element type.
  package func kernels(_ dtype: DType) -> hk_kernels {
    precondition(dtype.isReal, "no arithmetic kernels for \(dtype)")
    return dtype == .f64 ? f64.pointee : f32.pointee
  }
}

extension Tensor {
  /// The first element's address in host memory.
  var pointer: UnsafeMutableRawPointer {
    guard let pointer = UnsafeMutableRawPointer(bitPattern: address) else {
      fatalError("a tensor without memory")
    }
    return pointer
  }

  /// The address of element `index`.
  func pointer(at index: Int) -> UnsafeMutableRawPointer { pointer + index * dtype.byteCount }

  /// The elements of an `i32` tensor.
  var integers: UnsafeMutablePointer<Int32> { pointer.assumingMemoryBound(to: Int32.self) }

  /// The elements of a `u8` tensor.
  var bytes: UnsafeMutablePointer<UInt8> { pointer.assumingMemoryBound(to: UInt8.self) }
}

extension DType {
  /// The storage format of a 16-bit float.
  var half: hk_half? {
    switch self {
    case .bf16: HK_BF16
    case .f16: HK_F16
    default: nil
    }
  }
}
