import CKernels
import COpenBLAS

/// The BLAS library and its choice of kernels.
public enum MatrixLibrary {
  /// The core OpenBLAS chose its kernels for, such as `SkylakeX`.
  public static var core: String { String(cString: openblas_get_corename()) }

  /// The core it should have chosen, where it did not recognise the processor and took kernels
  /// without AVX although the processor has AVX2 or AVX-512; `nil` where its choice is fine.
  public static var betterCore: String? {
    guard ["Prescott", "Core2", "Generic", "Nehalem", "Barcelona"].contains(core) else {
      return nil
    }
    switch hk_best_isa() {
    case HK_AVX512: return "SkylakeX"
    case HK_AVX2: return "Haswell"
    default: return nil
    }
  }
}
