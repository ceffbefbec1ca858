import ArgumentParser
import CPeers
import Numerics

/// `Context.linear` against one raw `cblas_sgemm` call.
struct Gemm: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "f32 matrix product, 2048³.")
  @Option var size = 2048
  @Option var rounds = 9

  func run() throws {
    let context = try Context()
    let threads = context.deviceDescription.threads
    var random = RandomStream(seed: 1)
    let a = random.uniform(size * size, in: -1...1)
    let b = random.uniform(size * size, in: -1...1)
    var c = [Float](repeating: 0, count: size * size)
    let (aTensor, bTensor) = (context.tensor(a, [size, size]), context.tensor(b, [size, size]))
    var ours: [Double] = []
    var raw: [Double] = []
    // One after the other, not in turn: OpenBLAS' own threads keep spinning for a while after a call
    // and would take a core from ours.
    for _ in 0...rounds {
      ours.append(timed { _ = context.linear(aTensor, weight: bTensor) })
    }
    for _ in 0...rounds {
      raw.append(timed { peer_sgemm(a, b, &c, Int32(size), Int32(threads)) })
    }
    let work = 2e-9 * Double(size) * Double(size) * Double(size)
    let (mine, theirs) = (median(Array(ours.dropFirst())), median(Array(raw.dropFirst())))
    report(
      "gemm",
      ["herd_gflops": work / mine, "cblas_gflops": work / theirs, "ratio": theirs / mine])
  }
}
