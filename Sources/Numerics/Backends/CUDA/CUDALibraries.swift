import CDevice
import Glibc

/// The libraries of a CUDA machine, as far as they were found.
///
/// They are looked for in the folders of `HERD_CUDA_LIBRARIES` (colon-separated), where the system's
/// loader looks, in a CUDA toolkit (`CUDA_HOME`, `CUDA_PATH`, `/usr/local/cuda`), and in an active
/// Python or Conda environment with NVIDIA's packages; those of CUDA 13 first, unless the driver is for
/// CUDA 12.
package struct CUDALibraries: @unchecked Sendable {
  /// One library: its table of functions, or what is missing and how to get it.
  package typealias Found<Table> = Result<UnsafePointer<Table>, DeviceError>

  package let driver: Found<cd_driver>
  package let compiler: Found<cd_compiler>
  package let blas: Found<cd_blas>

  /// Opens what is there. Tables and libraries stay open until the process ends.
  /// - Parameter variable: The value of a variable of the environment; the process's own unless given.
  package init(variable: (String) -> String? = environmentVariable) {
    let search = Search(variable)
    driver = search.table(
      ["libcuda.so.1"], cd_load_driver, what: "the NVIDIA driver (libcuda.so.1)",
      advice: "install the driver of the GPU, or run without --device cuda")
    var version: Int32 = 13000
    if let driver = try? driver.get().pointee { _ = driver.driver_version(&version) }
    let suffixes = version < 13000 ? ["so.12", "so.13", "so"] : ["so.13", "so.12", "so"]
    compiler = search.table(
      suffixes.map { "libnvrtc.\($0)" }, with: "libnvrtc-builtins.so.*", cd_load_compiler,
      what: "the run-time compiler (libnvrtc)",
      advice: "install the CUDA toolkit or the Python package nvidia-cuda-nvrtc, "
        + "and name its folder in HERD_CUDA_LIBRARIES")
    blas = search.table(
      suffixes.map { "libcublasLt.\($0)" }, cd_load_blas, what: "cuBLASLt (libcublasLt)",
      advice: "install the CUDA toolkit or the Python package nvidia-cublas, "
        + "and name its folder in HERD_CUDA_LIBRARIES")
  }

  /// Refuses a library of a newer major version of CUDA than the driver's: what it makes does not load.
  ///
  /// - Parameters:
  ///   - driver: CUDA version of the driver, such as 12040.
  ///   - library: The library's name and version.
  ///   - major: Major version of CUDA it belongs to.
  package static func check(driver: Int, runs library: String, major: Int) throws(DeviceError) {
    guard driver / 1000 < major else { return }
    let supported = "CUDA \(driver / 1000).\(driver % 1000 / 10)"
    let update = major == 13 ? "update it to R580 or later" : "update it"
    throw DeviceError(
      "\(library) needs a driver for CUDA \(major) and this one is for \(supported): \(update), or "
        + "install the Python packages nvidia-cuda-nvrtc-cu12 and nvidia-cublas-cu12")
  }
}

/// The value of a variable of the process's environment.
@Sendable package func environmentVariable(_ name: String) -> String? {
  getenv(name).map { String(cString: $0) }
}

/// Opens libraries by name.
private struct Search {
  /// Folders that the user named, and those to look in after the loader's own.
  private let first: [String]
  private let last: [String]

  init(_ variable: (String) -> String?) {
    func value(_ name: String) -> String? {
      variable(name).flatMap { $0.isEmpty ? nil : $0 }
    }
    first = (value("HERD_CUDA_LIBRARIES") ?? "").split(separator: ":").map(String.init)
    var folders: [String] = []
    for root in [value("CUDA_HOME"), value("CUDA_PATH"), "/usr/local/cuda"] {
      if let root { folders += ["\(root)/lib64", "\(root)/targets/x86_64-linux/lib"] }
    }
    for root in [value("VIRTUAL_ENV"), value("CONDA_PREFIX")] {
      guard let root else { continue }
      folders += ["\(root)/lib"] + Self.matches("\(root)/lib/python3*/site-packages/nvidia/*/lib")
    }
    last = folders
  }

  /// - Parameter companion: A shell pattern of libraries that the one found opens by name at run time.
  func table<Table>(
    _ names: [String], with companion: String? = nil,
    _ load: (UnsafeMutableRawPointer, UnsafeMutablePointer<Table>) -> UnsafePointer<CChar>?,
    what: String, advice: String
  ) -> CUDALibraries.Found<Table> {
    var reason: String?
    guard let (library, path) = open(names, &reason) else {
      let fault = reason.map { "does not load (\($0))" } ?? "was not found"
      return .failure(DeviceError("\(what) \(fault); \(advice)"))
    }
    if let companion { openCompanion(companion, of: path) }
    let table = UnsafeMutablePointer<Table>.allocate(capacity: 1)
    if let missing = load(library, table) {
      table.deallocate()
      return .failure(
        DeviceError("\(what) has no \(String(cString: missing)); use one of CUDA 12 or later"))
    }
    return .success(UnsafePointer(table))
  }

  /// - Parameter reason: Why the first library that is there cannot be opened.
  private func open(
    _ names: [String], _ reason: inout String?
  ) -> (library: UnsafeMutableRawPointer, path: String)? {
    let paths = { (folders: [String]) in
      folders.flatMap { folder in names.map { "\(folder)/\($0)" } }
    }
    for path in paths(first) + names + paths(last) {
      if let library = dlopen(path, RTLD_NOW | RTLD_GLOBAL) { return (library, path) }
      let message = dlerror().map { String(cString: $0) } ?? "\(path): unknown reason"
      // The loader tells what it did not find only by its words.
      let exists =
        path.contains("/")
        ? access(path, F_OK) == 0 : !message.hasPrefix("\(path): cannot open shared object file")
      if exists, reason == nil { reason = message }
    }
    return nil
  }

  /// Opens what a library will itself open by name: the loader looks neither in the folder that the
  /// library came from nor in the others searched here, but takes what is open already.
  private func openCompanion(_ pattern: String, of path: String) {
    let own = path.lastIndex(of: "/").map { [String(path[..<$0])] } ?? []
    for folder in own + first + last {
      let opened = Self.matches("\(folder)/\(pattern)").filter {
        dlopen($0, RTLD_NOW | RTLD_GLOBAL) != nil
      }
      if !opened.isEmpty { return }
    }
  }

  /// The paths that fit a shell pattern.
  private static func matches(_ pattern: String) -> [String] {
    var result = glob_t()
    defer { globfree(&result) }
    guard glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
  }
}
