import ArgumentParser

/// Measures herd's CPU paths; each command prints one JSON object.
@main
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "herd-bench",
    abstract: "Time herd's own parts; peers live in Benchmarks/peers.",
    subcommands: [
      Gemm.self, Train.self, Decode.self, Encode.self, Load.self, Generate.self, GPU.self,
      Construct.self, Solve.self, LinearAttention.self,
      LongDecode.self,
    ])
}
