import Glibc
import Numerics

/// Debian's OpenBLAS does not know processors that are newer than it is, and falls back to kernels
/// without AVX there, at a tenth of the speed. OpenBLAS reads its choice from the environment before
/// `main`, so the only cure is to start once more with the right choice.
enum ProcessorTuning {
  private static let variable = "OPENBLAS_CORETYPE"

  /// Starts the program anew with a better OpenBLAS core where its own choice is a poor one.
  /// Returns if nothing is to be done or it cannot be done.
  static func apply() {
    guard getenv(variable) == nil, let better = MatrixLibrary.betterCore else { return }
    setenv(variable, better, 1)
    execv("/proc/self/exe", CommandLine.unsafeArgv)
  }
}
