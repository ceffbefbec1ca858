import CDevice

/// Compiles kernel files for one GPU architecture with NVRTC.
package struct KernelCompiler: @unchecked Sendable {
  /// The architecture, such as `sm_90a`.
  package let architecture: String
  /// The compiler's version, such as `13.0`.
  package let version: String
  private let table: cd_compiler

  /// A compiler for `architecture`.
  package init(_ libraries: CUDALibraries, architecture: String) throws(DeviceError) {
    table = try libraries.compiler.get().pointee
    var (major, minor) = (Int32(0), Int32(0))
    _ = table.version(&major, &minor)
    version = "\(major).\(minor)"
    self.architecture = architecture
  }

  /// The name of a compute capability; 9.0 with the instructions only that architecture has.
  package static func architecture(_ capability: (major: Int, minor: Int)) -> String {
    let name = "sm_\(capability.major)\(capability.minor)"
    return capability == (9, 0) ? name + "a" : name
  }

  /// Machine code of a variant.
  /// - Throws: ``DeviceError`` with the compiler's first lines.
  package func compile(_ variant: KernelVariant) throws(DeviceError) -> [UInt8] {
    var program: cd_handle?
    let headers = KernelFile.headers
    let status = withPointers(headers.map(\.text)) { texts in
      withPointers(headers.map(\.name)) { names in
        table.create(
          &program, variant.file.source, "\(variant.file.rawValue).cu", Int32(headers.count),
          texts, names)
      }
    }
    guard status == 0, let handle = program else { throw failure(variant, status, "") }
    defer { _ = table.destroy(&program) }
    let options = variant.options(architecture: architecture)
    let compiled = withPointers(options) { table.compile(handle, Int32(options.count), $0) }
    guard compiled == 0 else { throw failure(variant, compiled, log(handle)) }
    var size = 0
    guard table.binary_size(handle, &size) == 0, size > 0 else {
      throw failure(variant, 0, "no machine code came out")
    }
    var status2: Int32 = 0
    let code = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      buffer.withMemoryRebound(to: CChar.self) { chars in
        if let base = chars.baseAddress { status2 = table.binary(handle, base) }
      }
      count = size
    }
    guard status2 == 0 else { throw failure(variant, status2, "") }
    return code
  }

  private func log(_ program: cd_handle) -> String {
    var size = 0
    guard table.log_size(program, &size) == 0, size > 1 else { return "" }
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer in
      guard let base = buffer.baseAddress, table.log(program, base) == 0 else { return "" }
      return String(cString: base)
    }
  }

  private func failure(_ variant: KernelVariant, _ status: Int32, _ log: String) -> DeviceError {
    let reason = log.split(separator: "\n").prefix(12).joined(separator: "\n")
    return DeviceError(
      "\(variant.file.rawValue).cu does not compile for \(architecture) with NVRTC \(version): "
        + (reason.isEmpty ? String(cString: table.error_string(status)) : reason))
  }
}

/// Calls `body` with C strings that live as long as the call.
private func withPointers<Result>(
  _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
  let copies = strings.map { text in
    let bytes = Array(text.utf8CString)
    let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
    copy.initialize(from: bytes, count: bytes.count)
    return copy
  }
  defer { for copy in copies { copy.deallocate() } }
  return withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: copies.count + 1) {
    list in
    for (index, copy) in copies.enumerated() {
      list.initializeElement(at: index, to: UnsafePointer(copy))
    }
    list.initializeElement(at: copies.count, to: nil)
    guard let base = list.baseAddress else { fatalError("an empty list of strings") }
    return body(UnsafePointer(base))
  }
}
