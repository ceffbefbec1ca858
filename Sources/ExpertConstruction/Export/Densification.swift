import Formats
import Models
import Numerics

/// A mixture turned back into a dense model: the experts of each layer side by side.
///
/// Where the byte ledger still holds, every tensor of the dense source comes back in its place.
/// Otherwise, as after training or where recovery rewrote matrices, the neurons come in the order of the experts, and the dense model
/// computes what the mixture would with every expert chosen and every weight one.
public struct Densification {
  /// What does not come back, in one line; `nil` when the source comes back whole.
  public let losses: String?
  /// Whether the ledger says where every neuron was, and all bytes still agree with it.
  public let isRestoration: Bool
  /// Tensors of the source that a folded scale rounded, so that they come back only nearly.
  public let rounded: [String]
  private let loader: ModelLoader
  private let ledger: ByteLedger?
  private let configuration: ConfigurationFile
  private let outputs: [TensorDeclaration]

  /// Decides everything; with a ledger, every tensor is read once and compared with it.
  ///
  /// - Parameters:
  ///   - loader: The opened mixture.
  ///   - configuration: Its `config.json`.
  ///   - weightsAsOne: Accepts a model whose experts do not enter with weight one.
  /// - Throws: ``ConstructionError`` when the dense model would not mean what the mixture does.
  public init(
    _ loader: ModelLoader, configuration: ConfigurationFile, weightsAsOne: Bool = false
  ) throws {
    self.loader = loader
    let model = loader.layout.configuration
    let folder = loader.checkpoint.folder
    guard model.blocks.contains(where: \.isMixture) else {
      throw ConstructionError(.refused, "\(folder) has no experts; it is dense already")
    }
    let found = try Self.ledger(loader)
    let rewritten = found?.verification.rewritten.count ?? 0
    // What recovery rewrote is no source: then only the places of the neurons are known.
    let whole = rewritten == 0 ? found : nil
    ledger = whole?.ledger
    isRestoration = whole != nil
    rounded = whole?.verification.rounded ?? []
    let width = try Self.width(loader, configuration, ledger)
    if whole == nil {
      try Self.checkGates(loader)
      if !weightsAsOne { try Self.checkWeights(loader) }
    }
    losses = whole == nil ? Self.losses(loader, rewritten: rewritten) : nil
    let hasBias = model.attentions.contains(where: \.inputBias)
    let dense = try DenseConfigurationFile.make(
      from: configuration, model, width: width,
      hasInputBias: whole.map { $0.ledger.source.contains { $0.name.hasSuffix(".q_proj.bias") } }
        ?? hasBias)
    self.configuration = dense
    if let whole {
      outputs = whole.ledger.source.map {
        TensorDeclaration(name: $0.name, elementType: $0.elementType, shape: $0.shape)
      }
    } else {
      let layout = try CheckpointLayouts.layout(for: dense)
      outputs = try layout.bindings.map { binding in
        TensorDeclaration(
          name: binding.tensor, elementType: try Self.type(of: binding.tensor, loader),
          shape: binding.shape)
      }
    }
  }

  /// Tensors of the dense model.
  public var tensorCount: Int { outputs.count }

  /// Writes the folder `path`.
  /// - Parameter force: Whether a folder of that name is replaced.
  public func run(to path: String, force: Bool = false, shardLimit: Int = 5_000_000_000) throws {
    let folder = try OutputFolder(path, force: force, keeping: [loader.checkpoint.folder])
    let writer = try CheckpointWriter(
      folder: folder.stagingPath, tensors: outputs, shardLimit: shardLimit)
    for output in outputs {
      if let (layer, projection) = DenseSource.place(of: output.name) {
        try write(projection, ofLayer: layer, as: output, to: writer)
      } else {
        try copy(output, to: writer)
      }
    }
    try writer.finish()
    try CompanionFiles.copy(from: loader.checkpoint.folder, to: folder.stagingPath)
    try configuration.write(to: folder.path(of: "config.json"))
    try folder.commit()
  }

  private static let chunk = 1 << 20

  /// A tensor outside the MLPs: a parameter of the same name, or a tensor no layout reads.
  private func copy(_ output: TensorDeclaration, to writer: CheckpointWriter) throws {
    let isParameter = loader.holds(output.name)
    let scale = loader.layout.configuration.foldedAttentionScale(of: output.name)
    let count = output.shape.reduce(1, *)
    let size = output.elementType.bitWidth / 8
    let buffer = ByteBuffer(min(count, Self.chunk) * size)
    for start in stride(from: 0, to: count, by: Self.chunk) {
      let range = start..<min(count, start + Self.chunk)
      let bytes = buffer.slice(0..<range.count * size)
      if isParameter {
        try loader.read(output.name, range, into: bytes)
      } else {
        try loader.checkpoint.read(
          output.name, bytes: range.lowerBound * size..<range.upperBound * size, into: bytes)
      }
      if scale != 1 {
        _ = StoredElements.multiply(bytes, output.elementType, by: Float(1 / scale))
      }
      try writer.write(output.name, at: start * size, UnsafeRawBufferPointer(bytes))
    }
  }

  /// One dense matrix, put together from the units of its layer.
  private func write(
    _ projection: Projection, ofLayer layer: Int, as output: TensorDeclaration,
    to writer: CheckpointWriter
  ) throws {
    let neurons = try Self.neurons(loader, layer, ledger)
    let (hidden, width) = (neurons.hidden, neurons.count)
    let size = output.elementType.bitWidth / 8
    let dense = ByteBuffer(hidden * width * size)
    let target = dense.slice(0..<hidden * width * size)
    for (unit, ids) in zip(neurons.units, order(of: neurons, layer: layer)) {
      let count = unit.width * hidden
      let buffer = ByteBuffer(count * size)
      let bytes = buffer.slice(0..<count * size)
      try loader.read(
        unit.parameters[projection] ?? "", unit.offset..<unit.offset + count, into: bytes)
      if projection == .down, unit.scale != 1 {
        _ = StoredElements.multiply(bytes, output.elementType, by: Float(1 / unit.scale))
      }
      NeuronGather.scatter(
        ids, of: projection, width: width, hidden: hidden, elementSize: size,
        from: UnsafeRawBufferPointer(bytes), into: target)
    }
    try writer.write(output.name, UnsafeRawBufferPointer(target))
  }

  /// The places of each unit's neurons in the dense matrix.
  private func order(of neurons: LayerNeurons, layer: Int) -> [[Int32]] {
    if let split = ledger?.split(ofLayer: layer) {
      return (split.shared.isEmpty ? [] : [split.shared]) + split.experts
    }
    var next: Int32 = 0
    return neurons.units.map { unit in
      defer { next += Int32(unit.width) }
      return Array(next..<next + Int32(unit.width))
    }
  }
}

extension ModelConfiguration {
  /// The factor that was folded into an attention parameter when it was stored.
  func foldedAttentionScale(of parameter: String) -> Double {
    let parts = parameter.split(separator: ".")
    guard parameter.hasSuffix(".self_attn.o_proj.weight"), parts.count > 2,
      let layer = Int(parts[2]), layer < blocks.count,
      case .attention(let attention) = blocks[layer].mixer
    else { return 1 }
    return attention.mixture?.foldedScale ?? 1
  }

  /// The attention of each layer.
  var attentions: [AttentionConfiguration] {
    blocks.compactMap { block in
      guard case .attention(let attention) = block.mixer else { return nil }
      return attention
    }
  }
}
