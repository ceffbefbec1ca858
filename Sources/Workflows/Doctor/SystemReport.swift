import Formats
import Glibc
import Numerics

/// What this machine offers, as far as it matters for speed and for bug reports.
public struct SystemReport: Sendable {
  /// The device as ``Context`` chose it.
  public let device: DeviceDescription
  /// The GPU and its libraries.
  public let gpu: GPUReport
  /// The processor's own name; `nil` where the system does not tell.
  public let processor: String?
  /// Cores this process may use.
  public let cores: Int
  /// The instruction sets that kernels could use, as the processor reports them.
  public let vectorExtensions: [String]
  /// Installed memory in bytes.
  public let memoryBytes: Int?
  /// Memory that can be had without swapping, in bytes.
  public let availableBytes: Int?
  /// Name and release of the kernel.
  public let system: String

  /// Looks at the machine.
  /// - Throws: `DeviceError` when the device cannot be used.
  public init(device: Device = .cpu()) throws {
    self.device = try Context(device: device).deviceDescription
    gpu = GPUReport()
    let fields = Self.fields(of: "/proc/cpuinfo")
    processor = fields["model name"]
    let flags = Set((fields["flags"] ?? "").split(separator: " ").map(String.init))
    vectorExtensions = ["avx2", "fma", "f16c", "avx512f", "avx512_bf16", "amx_bf16"]
      .filter(flags.contains)
    cores = Device.availableCores
    let memory = Self.fields(of: "/proc/meminfo")
    memoryBytes = Self.kilobytes(memory["MemTotal"])
    availableBytes = Self.kilobytes(memory["MemAvailable"])
    system =
      (Self.line("/proc/sys/kernel/ostype") ?? "Linux") + " "
      + (Self.line("/proc/sys/kernel/osrelease") ?? "")
  }

  /// The report for machines.
  public var json: JSON {
    [
      "version": JSON(ToolkitVersion.current), "compiler": JSON(ToolkitVersion.compiler),
      "system": JSON(system),
      "device": [
        "kind": JSON(device.kind), "architecture": JSON(device.architecture),
        "threads": JSON(device.threads), "blas": JSON(device.blas),
      ],
      "gpu": gpu.json,
      "processor": processor.map { JSON($0) } ?? .null, "cores": JSON(cores),
      "vector_extensions": .array(vectorExtensions.map { JSON($0) }),
      "memory_bytes": memoryBytes.map { JSON($0) } ?? .null,
      "available_bytes": availableBytes.map { JSON($0) } ?? .null,
    ]
  }

  /// The first value of each `name : value` line of a file under /proc.
  private static func fields(of path: String) -> [String: String] {
    var fields: [String: String] = [:]
    for line in text(path).split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let name = String(line[..<colon].filter { $0 != "\t" })
      if fields[name] == nil {
        fields[name] = String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" })
      }
    }
    return fields
  }

  private static func kilobytes(_ field: String?) -> Int? {
    field?.split(separator: " ").first.flatMap { Int($0) }.map { $0 * 1024 }
  }

  private static func line(_ path: String) -> String? {
    text(path).split(separator: "\n").first.map(String.init)
  }

  /// A file under /proc, whose size the system does not know beforehand; empty if unreadable.
  private static func text(_ path: String) -> String {
    let fd = open(path, O_RDONLY | O_CLOEXEC)
    guard fd >= 0 else { return "" }
    defer { close(fd) }
    var bytes: [UInt8] = []
    while bytes.count < 1 << 20 {
      let chunk = [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
        count = max(0, read(fd, buffer.baseAddress, buffer.count))
      }
      if chunk.isEmpty { break }
      bytes += chunk
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
