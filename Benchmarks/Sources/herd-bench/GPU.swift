import ArgumentParser
import Models
import Numerics

/// The rows of the GPU table, by device events, medians after warm-up.
struct GPU: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Products, mixtures, attention, training steps and decoding on an NVIDIA GPU, bf16.")
  @Argument(
    help: """
      Rows: gemm, mixture, attention, linear-attention, train-32m, train-1b, train-8b, \
      train-385m-tnl, train-1b-tnl, decode.
      """)
  var rows = [
    "gemm", "mixture", "attention", "linear-attention", "train-32m", "train-1b", "train-8b",
    "train-385m-tnl", "train-1b-tnl", "decode",
  ]

  // 8.03 B parameters take 8.03 bytes each: 32 GB of weights and moments, and 32 GB of gradients,
  // which come while backward gives activations back. Of a sequence of 4096 each layer keeps 8.25
  // values of bf16 a channel (norms, attention, gate and up of two experts of 1792), 8.9 GB in all;
  // logits take 3 GB. Freed blocks are kept by size, so four sequences reserve 32 + 32 + 36 + 5 GB;
  // six come to 123 GB, and beyond that blocks go back to the driver within a step.
  @Option(help: "Sequences of 4096 tokens in the one pass of a train-8b step.")
  var sequences = 4
  @Flag(help: "Recompute blocks in train-8b.")
  var checkpointing = false
  @Option(
    help: "Last sequence of train-385m-tnl, longest of train-1b-tnl; 0 for their own.")
  var longest = 0

  func run() throws {
    let context = try Context(device: .cuda(activations: .bf16))
    for row in rows {
      switch row {
      case "gemm": gemm(context)
      case "mixture":
        mixture(context, experts: 8, width: 1792, topK: 2)
        mixture(context, experts: 32, width: 448, topK: 8)
      case "attention":
        attention(documents: 4, length: 2048, context)
        attention(documents: 1, length: 8192, context)
      case "linear-attention": LinearAttentionGPU.run(in: context)
      case "train-32m":
        try train("dense-32m dense", Shapes.dense32M(mixture: false), 64, 1024, 4, context)
        try train("dense-32m 4+28 top-4", Shapes.dense32M(mixture: true), 64, 1024, 4, context)
      case "train-1b":
        try train("1.107 B dense", Shapes.oneBillion(mixture: false), 4, 4096, 1, context)
        try train("1.107 B 8x1024 top-2", Shapes.oneBillion(mixture: true), 4, 4096, 1, context)
      case "train-8b":
        try train(
          "8B 8x1792 top-2, \(sequences)x4096",
          Shapes.eightBillion(mixture: true, tied: false), sequences, 4096, 1, context,
          isSmall: true)
      case "decode":
        try decode(context)
      case "train-385m-tnl":
        try LinearTraining.flatness(longest: longest, in: context)
      case "train-1b-tnl":
        try LinearTraining.againstLlama(longest: longest, in: context)
      default: throw ValidationError("no row \(row)")
      }
      context.trim()
    }
  }

  private func random(_ shape: [Int], _ dtype: DType, _ seed: UInt64, _ context: Context) -> Tensor
  {
    var random = RandomStream(seed: seed)
    let block = random.uniform(min(shape.reduce(1, *), 1 << 20), in: -1...1)
    let count = shape.reduce(1, *)
    let values = (0..<count).map { block[($0 &* 7919) % block.count] }
    return context.tensor(values, shape, dtype)
  }

  private func gemm(_ context: Context) {
    for (m, n, k) in [(16384, 4096, 4096), (16384, 14336, 4096), (8192, 8192, 8192)] {
      let sets = (0..<3).map { seed in
        (
          random([m, k], .bf16, UInt64(seed), context),
          random([n, k], .bf16, UInt64(seed + 9), context)
        )
      }
      let time = milliseconds(context) { index in
        _ = context.linear(sets[index % 3].0, weight: sets[index % 3].1)
      }
      report(
        "gpu-gemm \(m)x\(n)x\(k)",
        ["milliseconds": time, "tflops": 2e-9 * Double(m * n * k) / time])
    }
  }

  private func mixture(_ context: Context, experts: Int, width: Int, topK: Int) {
    let (tokens, model) = (16384, 4096)
    let x = (0..<2).map { random([tokens, model], .bf16, UInt64($0), context) }
    let shapes = [[experts, width, model], [experts, width, model], [experts, model, width]]
    let weights = shapes.enumerated().map { index, shape in
      Parameter("w\(index)", random(shape, .f32, UInt64(index + 5), context), isTrainable: true)
    }
    let logits = random([tokens, experts], .f32, 77, context)
    let routing = context.route(
      logits, topK: topK, combination: .renormalizedSoftmax(scale: 1))
    let dispatch = context.dispatch(routing, experts: experts)
    let share = Parameter("k", routing.weights_TK, isTrainable: true)
    let input = x.map { Parameter("x", $0, isTrainable: true) }
    func layer(_ x: Tensor) -> Tensor {
      context.mixtureOfExperts(
        x, gate: weights[0].tensor, up: weights[1].tensor, down: weights[2].tensor,
        dispatch: dispatch, weights: share.tensor)
    }
    let forward = milliseconds(context) { _ = layer(x[$0 % 2]) }
    let both = milliseconds(context) { index in
      context.recording(gradient: x[(index + 1) % 2]) { layer(input[index % 2].tensor) }
      for parameter in weights + input + [share] { parameter.gradient = nil }
    }
    report(
      "gpu-mixture \(experts)x\(width) top-\(topK)",
      ["forward_ms": forward, "forward_backward_ms": both])
  }

  private func attention(documents: Int, length: Int, _ context: Context) {
    let (heads, dim) = (32, 128)
    let layout = SequenceLayout(
      documentLengths: [Int](repeating: length, count: documents), in: context)
    let inputs = (0..<6).map { seed in
      Parameter(
        "x", random([documents * length, heads * dim], .bf16, UInt64(seed), context),
        isTrainable: true)
    }
    func attend(_ p: [Tensor]) -> Tensor {
      context.attention(
        query: p[0], key: p[1], value: p[2], heads: heads, keyHeads: heads,
        scale: 1 / Double(dim).squareRoot(), documentStarts: layout.documentStarts_T)
    }
    let forward = milliseconds(context) { index in
      _ = attend(inputs[index % 2 * 3..<index % 2 * 3 + 3].map(\.value))
    }
    let upstream = random([documents * length, heads * dim], .bf16, 9, context)
    let both = milliseconds(context) { index in
      let set = inputs[index % 2 * 3..<index % 2 * 3 + 3]
      context.recording(gradient: upstream) { attend(set.map(\.tensor)) }
      for parameter in inputs { parameter.gradient = nil }
    }
    report(
      "gpu-attention \(documents)x\(length) H32 D128",
      ["forward_ms": forward, "forward_backward_ms": both])
  }

  private func train(
    _ name: String, _ configuration: ModelConfiguration, _ sequences: Int, _ length: Int,
    _ passes: Int, _ context: Context, isSmall: Bool = false
  ) throws {
    let model = try Shapes.model(configuration, isSmall ? .bf16 : .f32, in: context)
    let trainer = StepTrainer(
      model, isSmall: isSmall, checkpointing: isSmall && checkpointing, in: context)
    let layout = SequenceLayout(
      documentLengths: [Int](repeating: length, count: sequences), in: context)
    let tokens = sequences * length
    var random = RandomStream(seed: 2)
    let times = (0..<7).map { _ in
      let batches = (0..<passes).map { _ in
        (0..<tokens).map { _ in Int32.random(in: 0..<8192, using: &random) }
      }
      return context.seconds { trainer.step(batches, layout) }
    }
    let time = median(Array(times.dropFirst(2)))
    report(
      "gpu-train \(name)",
      [
        "tokens_per_second": Double(tokens * passes) / time,
        "peak_gb": Double(context.memory.peak) / 1e9,
        "fragments_gb": Double(context.memory.fragments) / 1e9,
      ])
  }

  private func decode(_ context: Context) throws {
    let bytes = 4 << 30
    let (a, b) = (context.zeros([bytes / 4]), context.zeros([bytes / 4]))
    let copy = milliseconds(context) { _ in context.copy(a, into: b) }
    let bandwidth = 2 * Double(bytes) / copy * 1e3
    for mixture in [false, true] {
      let configuration = Shapes.eightBillion(mixture: mixture)
      let model = try Shapes.model(configuration, .bf16, in: context)
      let generator = TextGenerator(model, in: context)
      var sampler = Sampler()
      var next = generator.next(after: [1, 2, 3, 4], &sampler) ?? 0
      let times = (0..<24).map { _ in
        timed { next = generator.next(after: [next], &sampler) ?? 0 }
      }
      let speed = 1 / median(times)
      report(
        "gpu-decode 8B \(mixture ? "8 top-2" : "dense")",
        [
          "tokens_per_second": speed, "copy_gb_per_second": bandwidth / 1e9,
          "share_of_bandwidth": speed * 2 * Double(configuration.parameterCounts.active)
            / bandwidth,
        ])
    }
  }
}
