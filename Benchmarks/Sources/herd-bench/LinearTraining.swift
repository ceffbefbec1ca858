import Models
import Numerics

/// Training steps of TNL and LLaMA over lengths of a sequence, on an NVIDIA GPU in bf16.
enum LinearTraining {
  private static let vocabulary = 32768

  /// TNL of 385 M parameters, 131,072 tokens a step cut into sequences of 1 K to 128 K, then one sequence
  /// as long as fits. Blocks are recomputed everywhere, so that all lengths do the same work.
  static func flatness(longest: Int, in context: Context) throws {
    let model = try model(.tnl, .m385, in: context)
    for length in [1024, 2048, 4096, 8192, 16384, 32768, 65536, 131_072] {
      row("385M tnl", model, 131_072 / length, length, checkpointing: true, steps: 4, in: context)
    }
    if longest > 0 {
      row("385M tnl", model, 1, longest, checkpointing: true, steps: 2, in: context)
    }
  }

  /// TNL against LLaMA, 1 B parameters, 32,768 tokens a step, of 131,072 at the last length, where
  /// both recompute their blocks; none longer than `longest`, unless that is 0.
  static func againstLlama(longest: Int, in context: Context) throws {
    for family in [ModelFamily.tnl, .llama] {
      let model = try model(family, .b1, in: context)
      for length in [8192, 32768, 131_072] where longest == 0 || length <= longest {
        row(
          "1B \(family.rawValue)", model, max(1, 32768 / length), length,
          checkpointing: length > 32768, steps: length > 32768 ? 2 : 4, in: context)
      }
      context.trim()
    }
  }

  private static func model(_ family: ModelFamily, _ size: ModelSize, in context: Context) throws
    -> LanguageModel
  {
    let (layers, hidden, heads, width) = size.extents(of: family)
    let dimension = hidden / heads
    let attention = AttentionConfiguration(
      heads: heads, keyHeads: heads, headDimension: dimension,
      rope: RoPEConfiguration(theta: 10_000))
    let blocks = (0..<layers).map { layer in
      let mixer: MixerConfiguration =
        family.mixer(heads: heads, dimension: dimension, layer: layer, layers: layers)
        .map { .linear($0) } ?? .attention(attention)
      return BlockConfiguration(
        mixer: mixer,
        mlp: .dense(DenseConfiguration(width: width, activation: family.mlpActivation)))
    }
    let configuration = ModelConfiguration(
      vocabularySize: vocabulary, hiddenSize: hidden, normEpsilon: 1e-5, tiedEmbeddings: true,
      maximumPositions: 1 << 20, blocks: blocks)
    return try Shapes.model(configuration, .f32, in: context)
  }

  private static func row(
    _ name: String, _ model: LanguageModel, _ sequences: Int, _ length: Int, checkpointing: Bool,
    steps: Int, in context: Context
  ) {
    let trainer = StepTrainer(model, checkpointing: checkpointing, in: context)
    let layout = SequenceLayout(
      documentLengths: [Int](repeating: length, count: sequences), in: context)
    let tokens = sequences * length
    var random = RandomStream(seed: 2)
    let times = (0..<steps).map { _ in
      let ids = (0..<tokens).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &random) }
      return context.seconds { trainer.step([ids], layout) }
    }
    let time = median(Array(times.dropFirst(steps / 2)))
    let peak = context.memory.peak
    for parameter in model.parameters { parameter.gradient = nil }
    context.trim()
    let configuration = model.configuration
    let softmax = configuration.blocks.count {
      if case .attention = $0.mixer { true } else { false }
    }
    // Products with weights, and causal attention's; nothing for linear attention or recomputing.
    let operations =
      6 * Double(configuration.parameterCounts.active)
      + 6 * Double(softmax * configuration.hiddenSize * length)
    report(
      "gpu-train \(name) \(sequences)x\(length)",
      [
        "tokens_per_second": Double(tokens) / time,
        "model_tflops": Double(tokens) / time * operations / 1e12,
        "peak_gb": Double(peak) / 1e9,
      ])
  }
}
