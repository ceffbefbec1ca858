import CDevice
import Glibc

/// The libraries of a CUDA machine, as far as they were found.
///
/// They are looked for where the system's loader looks, then in the folders of
/// `HERD_CUDA_LIBRARIES` (colon-separated), of a CUDA toolkit (`CUDA_HOME`, `/usr/local/cuda`) and of
/// NVIDIA's Python packages in an active virtual environment.
package struct CUDALibraries: @unchecked Sendable {
  /// One library: its table of functions, or what is missing and how to get it.
  package typealias Found<Table> = Result<UnsafePointer<Table>, DeviceError>

  package let driver: Found<cd_driver>
  package let compiler: Found<cd_compiler>
  package let blas: Found<cd_blas>

  /// Opens what is there. Tables and libraries stay open until the process ends.
  package init() {
    driver = Self.table(
      ["libcuda.so.1"], cd_load_driver, what: "the NVIDIA driver (libcuda.so.1)",
      advice: "install the driver of the GPU, or run without --device cuda")
    compiler = Self.table(
      ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"], cd_load_compiler,
      what: "the run-time compiler (libnvrtc)",
      advice: "install the CUDA toolkit or the Python package nvidia-cuda-nvrtc, "
        + "and name its folder in HERD_CUDA_LIBRARIES")
    blas = Self.table(
      ["libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"], cd_load_blas,
      what: "cuBLASLt (libcublasLt)",
      advice: "install the CUDA toolkit or the Python package nvidia-cublas, "
        + "and name its folder in HERD_CUDA_LIBRARIES")
  }

  private static func table<Table>(
    _ names: [String],
    _ load: (UnsafeMutableRawPointer, UnsafeMutablePointer<Table>) -> UnsafePointer<CChar>?,
    what: String, advice: String
  ) -> Found<Table> {
    guard let library = open(names) else {
      return .failure(DeviceError("\(what) was not found; \(advice)"))
    }
    let table = UnsafeMutablePointer<Table>.allocate(capacity: 1)
    if let missing = load(library, table) {
      table.deallocate()
      return .failure(
        DeviceError("\(what) has no \(String(cString: missing)); use one of CUDA 12 or later"))
    }
    return .success(UnsafePointer(table))
  }

  private static func open(_ names: [String]) -> UnsafeMutableRawPointer? {
    for name in names {
      if let library = dlopen(name, RTLD_NOW | RTLD_GLOBAL) { return library }
    }
    for folder in folders() {
      for name in names {
        if let library = dlopen("\(folder)/\(name)", RTLD_NOW | RTLD_GLOBAL) { return library }
      }
    }
    return nil
  }

  /// The folders to look in after the loader's own.
  private static func folders() -> [String] {
    var folders = (variable("HERD_CUDA_LIBRARIES") ?? "").split(separator: ":").map(String.init)
    for root in [variable("CUDA_HOME"), variable("CUDA_PATH"), "/usr/local/cuda"] {
      if let root { folders += ["\(root)/lib64", "\(root)/targets/x86_64-linux/lib"] }
    }
    if let environment = variable("VIRTUAL_ENV") {
      folders += matches("\(environment)/lib/python3*/site-packages/nvidia/*/lib")
    }
    return folders
  }

  private static func variable(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The paths that fit a shell pattern.
  private static func matches(_ pattern: String) -> [String] {
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
  }
}
