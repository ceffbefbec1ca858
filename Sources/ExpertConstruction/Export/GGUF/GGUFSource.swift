import Formats
import Models

/// A tensor of a GGUF file and the parameter it is made from.
struct GGUFSource {
  var tensor: GGUFTensor
  /// The parameter; `nil` for zeros or for `values`.
  var parameter: String?
  /// Values that no parameter holds.
  var values: [Float] = []
  /// A factor on every value.
  var scale = 1.0
  /// Rows of one head whose halves are interleaved; 0 keeps the order of rows.
  var interleavedHead = 0

  /// Every tensor of the file; every parameter of the model is used once, but gains, which are zero
  /// here, and what only training uses.
  static func all(
    of model: ModelConfiguration, for plan: GGUFArchitecture, weights: GGUFExport.Weights
  ) throws -> [GGUFSource] {
    var result: [GGUFSource] = []
    for shape in model.parameterShapes {
      if unwritten.contains(where: { shape.name.hasSuffix($0) }) { continue }
      result.append(try source(shape, plan, weights))
    }
    if case .llama3 = plan.attention.rope.scaling {
      let scaled = plan.attention.rope.inverseFrequencies(
        headDimension: plan.attention.headDimension)
      let plain = RoPEConfiguration(theta: plan.attention.rope.theta).inverseFrequencies(
        headDimension: plan.attention.headDimension)
      result.append(
        GGUFSource(
          tensor: GGUFTensor(name: "rope_freqs.weight", elementType: .f32, shape: [plain.count]),
          values: zip(plain, scaled).map { Float($0 / $1) }))
    }
    if plan.name == .glm4moe, let mixture = plan.mixture {
      for layer in plan.denseLayers..<model.blocks.count {
        result += padding(mixture, layer, hidden: model.hiddenSize, plan, weights)
      }
    }
    return result
  }

  /// Gains, which are zero here, and what only training uses.
  private static let unwritten = [".mlp.router.gain", Export.trainingNoise]

  /// What `glm4moe` wants of every layer and the model has not.
  private static func padding(
    _ mixture: MixtureConfiguration, _ layer: Int, hidden: Int, _ plan: GGUFArchitecture,
    _ weights: GGUFExport.Weights
  ) -> [GGUFSource] {
    var result: [GGUFSource] = []
    if !mixture.selectionBias {
      result.append(
        GGUFSource(
          tensor: GGUFTensor(
            name: "blk.\(layer).exp_probs_b.bias", elementType: .f32, shape: [mixture.experts])))
    }
    if plan.padsShared {
      for (name, shape) in [
        ("gate", [mixture.expertWidth, hidden]), ("up", [mixture.expertWidth, hidden]),
        ("down", [hidden, mixture.expertWidth]),
      ] {
        result.append(
          GGUFSource(
            tensor: GGUFTensor(
              name: "blk.\(layer).ffn_\(name)_shexp.weight",
              elementType: elementType(shape, weights), shape: shape)))
      }
    }
    return result
  }

  private static func source(
    _ shape: ParameterShape, _ plan: GGUFArchitecture, _ weights: GGUFExport.Weights
  ) throws -> GGUFSource {
    let global = [
      ParameterName.embedding: "token_embd.weight", ParameterName.finalNorm: "output_norm.weight",
      ParameterName.head: "output.weight",
    ]
    let prefix = "model.layers."
    let rest = shape.name.dropFirst(prefix.count)
    let layer = shape.name.hasPrefix(prefix) ? Int(rest.prefix { $0 != "." }) : nil
    let tail = rest.drop { $0 != "." }.dropFirst()
    guard
      let name = global[shape.name]
        ?? layer.flatMap({ plan.tensorName(String(tail), layer: $0) })
    else {
      throw ConstructionError(
        .refused, "--format gguf: \(shape.name) has no place in architecture \(plan.name.rawValue)")
    }
    var result = GGUFSource(
      tensor: GGUFTensor(
        name: name,
        elementType: shape.staysFull ? .f32 : elementType(shape.shape, weights),
        shape: shape.shape),
      parameter: shape.name)
    let isQueryOrKey =
      tail.hasPrefix("self_attn.q_proj.") || tail.hasPrefix("self_attn.k_proj.")
    if plan.interleavesHeads, isQueryOrKey {
      result.interleavedHead = plan.attention.headDimension
    }
    if tail == "mlp.experts.down_proj" { result.scale = plan.downScale }
    if tail.hasPrefix("mlp.router.") { result.scale = plan.routerScale }
    return result
  }

  /// Blocks need rows of whole blocks; other rows are kept at 16 bits.
  private static func elementType(
    _ shape: [Int], _ weights: GGUFExport.Weights
  ) -> GGUFElementType {
    let type = weights.elementType
    return (shape.last ?? 0) % type.blockLength == 0 ? type : .bf16
  }

  /// Whether this is a matrix that is not stored as asked.
  func staysWide(_ weights: GGUFExport.Weights) -> Bool {
    tensor.elementType == .bf16 && weights == .q8_0
  }

  /// Elements written at a time, about.
  private static let chunk = 1 << 20

  /// Writes the tensor: reads rows, puts them in order, scales and encodes them.
  func write(to writer: GGUFWriter, from loader: ModelLoader) throws {
    let columns = tensor.shape.last ?? 1
    let rows = tensor.shape.dropLast().reduce(1, *)
    // A bias has its heads along its only dimension.
    let isVector = tensor.shape.count == 1
    let (count, width) = isVector ? (columns, 1) : (rows, columns)
    let unit = max(1, interleavedHead)
    let step = max(unit, Self.chunk / max(1, width) / unit * unit)
    let block = isVector ? 1 : tensor.elementType.blockLength
    precondition(width % block == 0)
    for start in stride(from: 0, to: count, by: step) {
      let range = start..<min(count, start + step)
      var floats: [Float]
      if let parameter {
        floats = try loader.floats(parameter, range.lowerBound * width..<range.upperBound * width)
      } else if values.isEmpty {
        floats = [Float](repeating: 0, count: range.count * width)
      } else {
        floats = Array(values[range.lowerBound * width..<range.upperBound * width])
      }
      if interleavedHead > 0 {
        floats = Self.interleaved(floats, head: interleavedHead, width: width)
      }
      if scale != 1 { for index in floats.indices { floats[index] *= Float(scale) } }
      try write(
        floats, at: tensor.elementType.byteCount(range.lowerBound * width), to: writer,
        folder: loader.checkpoint.folder)
    }
  }

  /// Rows 0, d/2, 1, d/2 + 1, … of every head of d rows.
  static func interleaved(_ rows: [Float], head: Int, width: Int) -> [Float] {
    var result: [Float] = []
    result.reserveCapacity(rows.count)
    for first in stride(from: 0, to: rows.count / width, by: head) {
      for row in 0..<head {
        let source = first + row / 2 + (row % 2) * (head / 2)
        result += rows[source * width..<(source + 1) * width]
      }
    }
    return result
  }

  private func write(
    _ floats: [Float], at offset: Int, to writer: GGUFWriter, folder: String
  ) throws {
    let buffer = ByteBuffer(tensor.elementType.byteCount(floats.count))
    let bytes = buffer.slice(0..<tensor.elementType.byteCount(floats.count))
    let isFinite = floats.withUnsafeBufferPointer { values in
      guard StoredElements.areFinite(UnsafeRawBufferPointer(values), .f32) else { return false }
      switch tensor.elementType {
      case .f32: StoredElements.narrow(values, to: .f32, into: bytes)
      case .bf16:
        StoredElements.narrow(values, to: .bf16, into: bytes)
        return StoredElements.areFinite(UnsafeRawBufferPointer(bytes), .bf16)
      case .q8_0: return BlockQuantizer.quantize(values, into: bytes)
      }
      return true
    }
    guard isFinite else {
      throw ConstructionError(
        .damagedSource,
        "\(folder): \(parameter ?? tensor.name) holds values beyond \(tensor.elementType), or NaN; "
          + "use --dtype f32, or restore the checkpoint")
    }
    try writer.write(tensor.name, at: offset, UnsafeRawBufferPointer(bytes))
  }
}
