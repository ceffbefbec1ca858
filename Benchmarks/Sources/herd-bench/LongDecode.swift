import ArgumentParser
import Models
import Numerics

/// Greedy decoding with linear attention early and late in a text.
struct LongDecode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Decode with linear attention (28.8 M parameters, f32) after 100 and after 100 000 tokens.")
  @Option(help: "Where the late one begins; it reads as many tokens first.") var position = 100_000
  @Option(help: "Tokens of a timed stretch.") var tokens = 64
  @Option(help: "Stretches, early and late in turn.") var rounds = 15

  func run() throws {
    let context = try Context()
    let configuration = Shapes.lightning()
    let model = try Shapes.model(configuration, .f32, in: context)
    var random = RandomStream(seed: 2)
    let limit = Double(configuration.vocabularySize)
    /// A text of that many random tokens behind it.
    func generator(after count: Int) -> TextGenerator {
      let generator = TextGenerator(model, in: context)
      while generator.position < count {
        let length = min(2048, count - generator.position)
        _ = generator.read((0..<length).map { _ in Int32(random.uniform() * limit) })
      }
      return generator
    }
    let early = generator(after: 100)
    var late = early
    let reading = timed { late = generator(after: position) }
    let start = early.fork()
    var sampler = Sampler()
    func stretch(_ generator: TextGenerator) -> Double {
      var next: Int32 = 1
      return timed {
        for _ in 0..<tokens { next = generator.next(after: [next], &sampler) ?? 0 }
      } / Double(tokens)
    }
    // The early one is put back before every stretch, so that it stays early.
    _ = (stretch(start.fork()), stretch(late.fork()))
    var times: (early: [Double], late: [Double]) = ([], [])
    for _ in 0..<rounds {
      times.early.append(stretch(start.fork()))
      times.late.append(stretch(late.fork()))
    }
    let (first, last) = (median(times.early), median(times.late))
    report(
      "long-decode",
      [
        "parameters": Double(configuration.parameterCounts.total),
        "position": Double(position), "read_tokens_per_second": Double(position) / reading,
        "early_ms_per_token": first * 1000, "late_ms_per_token": last * 1000,
        "late_over_early": last / first, "early_memory_bytes": Double(early.memory),
        "late_memory_bytes": Double(late.memory),
      ])
  }
}
