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
    try pipeline.checkIsOneRun()
    try self.init(
      pipeline, output: output, device: device, rate: Self.measuredRate(on: device))
  }

  /// - Parameters:
  ///   - vocabulary: The size of a vocabulary that is yet to be made, where the pipeline does not tell.
  ///   - rate: Operations per second; see ``measuredRate(on:)``.
  init(
    _ pipeline: Pipeline, output: String, vocabulary: Int? = nil, device: Device, rate: Double
  ) throws {
    let size = try Self.sizes(pipeline, output, vocabulary)
    for stage in pipeline.stages { try pipeline.checkWeights(of: stage, on: device) }
    var lines: [String] = []
    var (tokens, memory, seconds) = (0, 0, 0.0)
    if let synthesize = pipeline.synthesize {
      lines.append("synthesize   \(3 * synthesize.records) records")
    }
    if let convert = pipeline.convert {
      let mlps =
        convert.strategy == "none"
        ? "dense MLPs"
        : "\(convert.experts) experts, top-\(convert.topK), \(convert.shared.map { "\($0) shared, " } ?? "")\(convert.strategy)"
      lines.append(
        "convert      \(mlps), \(convert.routerName) router"
          + (convert.attention == "none" ? "" : ", attention \(convert.attention)"))
    }
    if let linearize = pipeline.linearize {
      lines.append(
        "linearize    \(linearize.mixer), softmax stays in \(linearize.keepSoftmax)"
          + (linearize.followsConversion ? ", after convert" : ""))
    }
    for stage in pipeline.stages {
      let count = stage.steps * stage.sequenceLength * stage.batchSequences
      let teacher = stage.losses.needsTeacher ? Double(2 * size.total) : 0
      // Forward and backward cost 6 operations per active weight and token, a teacher 2 per weight.
      let time = Double(count) * (6 * Double(size.active) + teacher) / rate
      let bytes = size.bytes(of: stage, activations: device.activations)
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

  /// What a model's training costs follow from.
  private struct Sizes {
    /// Parameters, and those one token uses.
    var total: Int
    var active: Int
    var hidden: Int
    var layers: Int
    /// Neurons of an MLP that one token uses, on average over the layers.
    var width: Double
    /// The parameters of the source; empty for a model that is made.
    var shapes: [ParameterShape] = []

    /// Weights, gradients, moments, teacher and activations of a stage. Of a block backward needs
    /// about eight values as wide as the residual stream and three per neuron; with checkpointing the
    /// stream at its start, and all of one block at a time.
    func bytes(of stage: StageSettings, activations: DType) -> Int {
      let block = 8 * Double(hidden) + 3 * width
      let values =
        stage.checkpointing ? Double(layers * hidden) + block : Double(layers) * block
      let tokens = Double(stage.microBatch * stage.sequenceLength)
      return stage.stateBytes(parameters: total, shapes: shapes, activations: activations)
        + (stage.losses.needsTeacher ? total * activations.byteCount : 0)
        + Int(tokens * (values + teacherStates(stage.losses))) * activations.byteCount
    }

    /// Values per token that are kept of the teacher.
    private func teacherStates(_ losses: Losses) -> Double {
      let states = (losses.hiddenAlignment > 0 ? 1 : 0) + (losses.localAlignment > 0 ? 2 : 0)
      return Double(states * layers * hidden)
    }
  }

  private static func sizes(
    _ pipeline: Pipeline, _ output: String, _ vocabulary: Int?
  ) throws -> Sizes {
    let configuration: ModelConfiguration
    if let settings = pipeline.initialize {
      var size = vocabulary ?? pipeline.synthesize?.vocabulary ?? 0
      if let folder = settings.tokenizer, vocabulary == nil {
        size = try TokenizerFiles(folder: pipeline.resolve(folder, run: output)).vocabularySize
      }
      configuration = settings.model(vocabularySize: size)
    } else {
      let model = try pipeline.resolve(pipeline.model ?? "", run: output)
      if let settings = pipeline.linearize {
        let move = ModelLinearization(source: model, output: output, settings: settings)
        configuration = try move.plan().model
      } else {
        configuration = try ModelFolder(model).configuration
      }
    }
    var total = configuration.parameterCounts.total
    var active = configuration.parameterCounts.active
    var neurons = 0.0
    for (layer, block) in configuration.blocks.enumerated() {
      switch block.mlp {
      case .dense(let dense):
        let convert = pipeline.convert.flatMap { $0.keepDense.contains(layer) ? nil : $0 }
        let share = convert?.activeShare(ofWidth: dense.width) ?? 1
        let size = 3 * dense.width * configuration.hiddenSize
        active -= Int(Double(size) * (1 - share))
        total += Int(Double(size) * ((convert?.sizeShare ?? 1) - 1))
        neurons += Double(dense.width) * share
      case .mixture(let mixture):
        neurons += Double(mixture.topK * mixture.expertWidth + mixture.sharedWidth)
      }
    }
    return Sizes(
      total: total, active: active, hidden: configuration.hiddenSize,
      layers: configuration.blocks.count,
      width: neurons / Double(max(1, configuration.blocks.count)),
      shapes: configuration.parameterShapes)
  }

  /// Operations per second of a medium matrix product on this machine, halved: a step is not all
  /// matrix products.
  static func measuredRate(on device: Device) throws -> Double {
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
