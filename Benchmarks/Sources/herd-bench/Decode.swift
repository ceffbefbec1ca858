import ArgumentParser
import CPeers
import Models
import Numerics

/// Greedy decoding of one text with 16-bit weights, and the read bandwidth of the same machine.
struct Decode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Decode, bf16 weights, 1.24 B parameters, random weights.")
  @Option var tokens = 24

  func run() throws {
    let context = try Context()
    let threads = Int32(context.deviceDescription.threads)
    let memory = [UInt64](repeating: 1, count: 1 << 27)
    func bandwidth() -> Double {
      memory.withUnsafeBytes { peer_read_bandwidth($0.baseAddress, $0.count, threads) }
    }
    var bandwidths = (0..<5).map { _ in bandwidth() }
    var speeds: [Bool: Double] = [:]
    var bytes: [Bool: Double] = [:]
    for mixture in [false, true] {
      let configuration = Shapes.decoding(mixture: mixture)
      let model = try Shapes.model(configuration, .bf16, in: context)
      let generator = TextGenerator(model, in: context)
      var sampler = Sampler()
      var next = generator.next(after: [1, 2, 3, 4], &sampler) ?? 0
      let times = (0..<tokens).map { _ in
        timed { next = generator.next(after: [next], &sampler) ?? 0 }
      }
      speeds[mixture] = 1 / median(times)
      bytes[mixture] = 2 * Double(configuration.parameterCounts.active)
      bandwidths += (0..<3).map { _ in bandwidth() }
    }
    let best = bandwidths.max() ?? .nan
    let (dense, sparse) = (speeds[false] ?? .nan, speeds[true] ?? .nan)
    report(
      "decode",
      [
        "read_bandwidth_gb": best / 1e9, "dense_tokens_per_second": dense,
        "dense_share_of_bandwidth": dense * (bytes[false] ?? .nan) / best,
        "mixture_tokens_per_second": sparse, "mixture_over_dense": sparse / dense,
        "mixture_share_of_bandwidth": sparse * (bytes[true] ?? .nan) / best,
      ])
  }
}
