import Numerics

/// Linear attention in bf16 on an NVIDIA GPU, by device events, medians after warm-up.
enum LinearAttentionGPU {
  private static let (heads, dim) = (32, 128)

  static func run(in context: Context) {
    for (documents, length) in [(4, 8192), (4, 2048), (4, 1024), (1, 65536)] {
      row("constant", documents, length, context)
      context.trim()
    }
    row("vector", 4, 4096, context)
  }

  private static func row(
    _ kind: String, _ documents: Int, _ length: Int, _ context: Context
  ) {
    let tokens = documents * length
    let layout = SequenceLayout(
      documentLengths: [Int](repeating: length, count: documents), in: context)
    var random = RandomStream(seed: 1)
    let table = context.tensor(random.uniform(4096 * heads * dim, in: -1...1), [4096, heads * dim])
    func activation() -> Tensor {
      let ids = (0..<tokens).map { _ in Int32.random(in: 0..<4096, using: &random) }
      return context.embedding(context.tensor(ids, [tokens]), weight: table)
    }
    let inputs = (0..<3).map { _ in Parameter("x", activation(), isTrainable: true) }
    let upstream = activation()
    let slopes = context.tensor(
      DecaySlopes.alibi.values(heads: heads, layer: 0, layers: 1), [heads], .f32)
    var logDecay: Parameter?
    if kind == "vector" {
      let values = random.uniform(1 << 20, in: -0.2...0)
      logDecay = Parameter(
        "decay",
        context.tensor(
          (0..<tokens * heads * dim).map { values[$0 &* 7919 % values.count] },
          [tokens, heads * dim]),
        isTrainable: true)
    }
    func attend(_ inputs: [Tensor], _ logDecay: Tensor?) -> Tensor {
      context.linearAttention(
        query: inputs[0], key: inputs[1], value: inputs[2], heads: heads,
        scale: 1 / Double(dim).squareRoot(),
        decay: logDecay.map { .vector(logDecay_TC: $0) } ?? .constant(slopes_H: slopes),
        documentOffsets: layout.documentOffsets
      ).output
    }
    let forward = milliseconds(context) { _ in
      _ = attend(inputs.map(\.value), logDecay?.value)
    }
    let both = milliseconds(context) { _ in
      context.recording(gradient: upstream) { attend(inputs.map(\.tensor), logDecay?.tensor) }
      for parameter in inputs + [logDecay].compactMap(\.self) { parameter.gradient = nil }
    }
    report(
      "gpu-linear-attention \(kind) \(documents)x\(length) H\(heads) D\(dim)",
      ["forward_ms": forward, "forward_backward_ms": both])
  }
}
