import ArgumentParser
import Numerics

/// Linear attention over lengths, and softmax attention at one of them.
struct LinearAttention: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Linear attention on the CPU, f32, forward and backward, 1 K to 64 K tokens."
  )
  @Option var heads = 8
  @Option(help: "Channels per head of queries, keys and values.") var dim = 64
  @Option(help: "Length at which softmax attention runs too.") var softmax = 4096
  @Option var rounds = 5

  func run() throws {
    let context = try Context(device: .cpu())
    let lengths = [1024, 2048, 4096, 8192, 16384, 32768, 65536]
    let slopes = context.tensor(
      DecaySlopes.alibi.values(heads: heads, layer: 0, layers: 1), [heads], .f32)
    for kind in ["constant", "vector"] {
      for length in lengths {
        let decay: LinearAttentionDecay =
          kind == "constant"
          ? .constant(slopes_H: slopes)
          : .vector(logDecay_TC: random([length, heads * dim], -0.2...0, 4, context))
        row("linear-attention \(kind)", length, context) { inputs in
          context.linearAttention(
            query: inputs[0], key: inputs[1], value: inputs[2], heads: heads, scale: 1,
            decay: decay
          ).output
        }
      }
    }
    row("attention", softmax, context) { inputs in
      context.attention(
        query: inputs[0], key: inputs[1], value: inputs[2], heads: heads, keyHeads: heads,
        scale: 1 / Double(dim).squareRoot())
    }
  }

  private func random(
    _ shape: [Int], _ range: ClosedRange<Float>, _ seed: UInt64, _ context: Context
  ) -> Tensor {
    var random = RandomStream(seed: seed)
    return context.tensor(random.uniform(shape.reduce(1, *), in: range), shape)
  }

  private func row(
    _ name: String, _ length: Int, _ context: Context, _ attend: ([Tensor]) -> Tensor
  ) {
    let inputs = (0..<3).map { seed in
      Parameter(
        "x", random([length, heads * dim], -1...1, UInt64(seed), context), isTrainable: true)
    }
    let upstream = random([length, heads * dim], -1...1, 9, context)
    // A round is long enough to time.
    let count = max(1, 8192 / length)
    func time(_ body: () -> Void) -> Double {
      body()
      let times = (0..<rounds).map { _ in
        timed { for _ in 0..<count { body() } } / Double(count)
      }
      return median(times)
    }
    let forward = time { _ = attend(inputs.map(\.value)) }
    let both = time {
      context.recording(gradient: upstream) { attend(inputs.map(\.tensor)) }
      for parameter in inputs { parameter.gradient = nil }
    }
    report(
      "\(name) \(length) H\(heads) D\(dim)",
      [
        "forward_tokens_per_second": Double(length) / forward,
        "tokens_per_second": Double(length) / both,
      ])
  }
}
