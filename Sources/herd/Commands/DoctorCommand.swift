import ArgumentParser
import Workflows

/// `herd doctor`
struct DoctorCommand: HerdCommand {
  static let configuration = CommandConfiguration(
    "doctor", "Show what this machine offers: device, cores, SIMD, BLAS, memory, versions.",
    example: "herd doctor --json")

  @OptionGroup var common: CommonOptions

  func run(_ console: Console) throws {
    let report = try SystemReport(device: common.chosenDevice(console))
    try console.result(report.json) {
      var table = FieldList()
      table.append("herd", "\(ToolkitVersion.current) (\(ToolkitVersion.compiler))")
      table.append("system", report.system)
      table.append("processor", report.processor ?? "unknown")
      table.append("cores", "\(report.cores)")
      table.append("SIMD", report.vectorExtensions.joined(separator: " "))
      table.append(
        "device",
        "\(report.device.kind), \(report.device.architecture) kernels, \(report.device.threads) threads"
      )
      table.append("BLAS", report.device.blas)
      for (name, text) in report.gpu.lines { table.append(name, text) }
      table.append(
        "memory",
        "\(report.memoryBytes.map(Quantity.bytes) ?? "unknown"), "
          + "\(report.availableBytes.map(Quantity.bytes) ?? "unknown") available")
      return table.text
    }
  }
}
