import ArgumentParser

/// The options every command takes.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print one JSON object on standard output instead of text.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Where to compute: auto (a GPU when one is usable), cpu, cuda, or cuda:N.",
      valueName: "device"))
  var device = DeviceOption.automatic

  @Option(
    help: ArgumentHelp(
      "Activations on a GPU: f32 for the CPU's results, bf16 for speed.", valueName: "type"))
  var precision = PrecisionOption.f32

  @Option(help: "Threads that compute; 0 for one per core.")
  var threads = 0

  @Option(help: "Seed of everything random; 0, or the pipeline's own, unless given.")
  var seed: UInt64?

  @Flag(help: "No logs and no progress on standard error.")
  var quiet = false

  func validate() throws {
    guard precision == .f32 || device != .cpu else {
      throw ValidationError("--precision bf16 is for GPUs; leave --device cpu or the precision out")
    }
    guard seed ?? 0 <= UInt64(Int64.max) else {
      throw ValidationError("--seed takes a number from 0 to \(Int64.max)")
    }
    guard (0...1024).contains(threads) else {
      throw ValidationError("--threads takes a number from 0 to 1024, not \(threads)")
    }
  }
}
