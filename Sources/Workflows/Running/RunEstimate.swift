import Formats
import Models
import Numerics
import Reports
import Training

/// What a run will do and roughly cost, from headers alone: `herd run --dry-run`.
public struct RunEstimate: Sendable {
  /// One line per step.
  public let lines: [String]
  /// Tokens trained on in all stages.
  public let tokens: Int
  /// Peak memory in bytes.
  public let memory: Int
  /// Wall time in seconds, from the speed of a matrix product measured now.
  public let seconds: Double

  /// Estimates without writing or reading weights.
  public init(_ pipeline: Pipeline, output: String, device: Device = .cpu()) throws {
    let (total, active, hidden, layers) = try Self.sizes(pipeline, output)
    let rate = try Self.measuredRate(on: device)
    var lines: [String] = []
    var (tokens, memory, seconds) = (0, 0, 0.0)
    if let synthesize = pipeline.synthesize {
      lines.append("synthesize   \(3 * synthesize.records) records")
    }
    if let convert = pipeline.convert {
      lines.append(
        "convert      \(convert.experts) experts, top-\(convert.topK), \(convert.shared) shared, \(convert.strategy), \(convert.router) router"
      )
    }
    for stage in pipeline.stages {
      let count = stage.steps * stage.sequenceLength * stage.batchSequences
      let teacher = stage.losses.needsTeacher ? Double(2 * total) : 0
      // Forward and backward cost 6 operations per active weight and token, a teacher 2 per weight.
      let time = Double(count) * (6 * Double(active) + teacher) / rate
      let activations =
        stage.microBatch * stage.sequenceLength * hidden * 4 * (stage.checkpointing ? 2 : 20)
        * layers
      let bytes = total * 16 + (teacher > 0 ? total * 4 : 0) + activations
      lines.append(
        "stage        \(stage.name): \(stage.steps) steps, \(count) tokens, \(bytes >> 20) MiB, about \(Durations.text(time))"
      )
      tokens += count
      memory = max(memory, bytes)
      seconds += time
    }
    if let evaluate = pipeline.evaluate {
      lines.append("evaluate     \(evaluate.data.count) domains, each model of the run")
    }
    for format in pipeline.export { lines.append("export       \(format)") }
    self.lines = lines
    self.tokens = tokens
    self.memory = memory
    self.seconds = seconds
  }

  /// The estimate for people.
  public var text: String {
    let cost =
      "in all       \(tokens) tokens, up to \(memory >> 20) MiB, about \(Durations.text(seconds)) of training"
    return (lines + [cost]).joined(separator: "\n")
  }

  /// The estimate for machines.
  public var json: JSON {
    [
      "steps": .array(lines.map { JSON($0) }), "tokens": JSON(tokens), "memory_bytes": JSON(memory),
      "seconds": JSON(seconds),
    ]
  }

  private static func sizes(_ pipeline: Pipeline, _ output: String) throws -> (
    total: Int, active: Int, hidden: Int, layers: Int
  ) {
    if let settings = pipeline.initialize {
      let perLayer =
        settings.hiddenSize * (3 * settings.width + 2 * settings.hiddenSize)
        + 2 * settings.hiddenSize * settings.hiddenSize * settings.keyHeads / settings.heads
      let vocabulary = pipeline.synthesize?.vocabulary ?? 0
      let total = settings.layers * perLayer + vocabulary * settings.hiddenSize
      return (total, total, settings.hiddenSize, settings.layers)
    }
    let folder = try ModelFolder(pipeline.resolve(pipeline.model ?? "", run: output))
    let total = folder.configuration.parameterCounts.total
    var active = total
    if let convert = pipeline.convert {
      let share =
        Double(convert.topK + convert.shared) / Double(max(1, convert.experts + convert.shared))
      for block in folder.configuration.blocks {
        guard case .dense(let dense) = block.mlp else { continue }
        let size = 3 * dense.width * folder.configuration.hiddenSize
        active -= Int(Double(size) * (1 - share))
      }
    }
    return (total, active, folder.configuration.hiddenSize, folder.configuration.blocks.count)
  }

  /// Operations per second of a medium matrix product on this machine, halved: a step is not all
  /// matrix products.
  private static func measuredRate(on device: Device) throws -> Double {
    let context = try Context(device: device)
    let size = 512
    let a = context.zeros([size, size])
    _ = context.linear(a, weight: a)
    let clock = ContinuousClock()
    let time = clock.measure {
      var c = a
      for _ in 0..<4 { c = context.linear(a, weight: a) }
      _ = context.readScalar(c.slice(0..<1).reshaped([size]).slice(0..<1))
    }
    let seconds = Double(time.components.attoseconds) * 1e-18 + Double(time.components.seconds)
    return 0.5 * 4 * 2 * Double(size * size * size) / max(seconds, 1e-6)
  }
}
