import ArgumentParser
import Formats
import Glibc

/// Opening and reading a large safetensors file against a plain sequential read of it.
struct Load: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "safetensors: open, and read all tensors of a warm 2 GB file.")
  @Option(help: "Folder for the generated file.") var folder = "/tmp"
  @Option var gigabytes = 2.0

  func run() throws {
    let path = "\(folder)/herd-bench-load"
    try? Files.remove(path)
    try Files.createFolder(path)
    defer { try? Files.remove(path) }
    let count = Int(gigabytes * 1e9) / 2 / 64
    let tensors = (0..<64).map {
      TensorDeclaration(name: "layer.\($0).weight", elementType: .bf16, shape: [count])
    }
    let block = [UInt8](repeating: 7, count: count * 2)
    let writer = try CheckpointWriter(folder: path, tensors: tensors, shardLimit: 1 << 40)
    for tensor in tensors { try block.withUnsafeBytes { try writer.write(tensor.name, $0) } }
    try writer.finish()
    let file = "\(path)/model.safetensors"
    var target = [UInt8](repeating: 0, count: count * 2)
    var plain: [Double] = []
    var ours: [Double] = []
    var opening: [Double] = []
    for _ in 0..<6 {
      plain.append(try timed { try sequentialRead(file, into: &target) })
      ours.append(
        try timed {
          let opened = try SafetensorsFile(path: file, access: .pread)
          for tensor in opened.tensors {
            try target.withUnsafeMutableBytes { try opened.read(tensor.name, into: $0) }
          }
        })
      opening.append(try timed { _ = try SafetensorsFile(path: file, access: .mapped) })
    }
    let (read, load) = (median(Array(plain.dropFirst())), median(Array(ours.dropFirst())))
    report(
      "load",
      [
        "sequential_gb_per_second": gigabytes / read, "load_gb_per_second": gigabytes / load,
        "ratio": read / load, "open_milliseconds": median(opening) * 1e3,
      ])
  }

  /// Reads the file in 8 MiB pieces, one behind the other into `target` as a load would.
  private func sequentialRead(_ file: String, into target: inout [UInt8]) throws {
    let descriptor = open(file, O_RDONLY)
    defer { close(descriptor) }
    var offset = 0
    var got = 1
    while got > 0 {
      got = target.withUnsafeMutableBytes { bytes in
        let piece = min(8 << 20, bytes.count - offset)
        return Glibc.read(descriptor, bytes.baseAddress.map { $0 + offset }, piece)
      }
      offset = offset + got >= target.count ? 0 : offset + got
    }
  }
}
