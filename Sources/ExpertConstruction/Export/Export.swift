import Formats
import Models

/// A herd model written in the format of a stock architecture.
public struct Export {
  /// The format to write.
  public let format: OutputFormat
  /// The model.
  public let model: MixtureModel
  /// Every tensor to be written.
  public let outputs: [TensorDeclaration]
  /// What readers should know besides ``rounding``, one line each.
  public let notes: [String]
  private let checkpoint: Checkpoint
  private let layout: any OutputLayout
  private let copies: [TensorDescription]
  /// Attention tensors put together from pieces, where the format has them so.
  private let moved: [TensorBinding]
  /// Tensors that the format wants and the model has not.
  private let zeros: [TensorDeclaration]
  /// Tensors that say again what the configuration says.
  private let repeated: [RepeatedTensor]
  private let loader: ModelLoader

  /// Checks that `format` can hold the model; only headers and gains are read.
  ///
  /// - Parameters:
  ///   - checkpoint: The herd model's weights.
  ///   - configuration: Its `config.json`.
  ///   - format: A stock format.
  /// - Throws: ``ConstructionError`` with the reason and a format that fits.
  public init(
    _ checkpoint: Checkpoint, configuration: ConfigurationFile, to format: OutputFormat
  ) throws {
    guard format != .herd else {
      throw ConstructionError(
        .refused, "\(checkpoint.folder) is in the herd format already; copy the folder instead")
    }
    self.checkpoint = checkpoint
    self.format = format
    let layout = format.make()
    self.layout = layout
    loader = try ModelLoader(layout: HerdLayout(configuration), checkpoint: checkpoint)
    let model = try MixtureModel(herd: configuration, loader)
    self.model = model
    if let refusal = layout.refusal(of: model) {
      throw ConstructionError(
        .refused, "--format \(format.rawValue) cannot hold \(checkpoint.folder): \(refusal)")
    }
    let layers =
      layout.movesEverything
      ? []
      : model.blocks.indices.compactMap { layer in
        model.shape(ofLayer: layer).map { (layer, $0) }
      }
    let target =
      layout.movesAttention
      ? try CheckpointLayouts.layout(for: layout.configuration(of: model)) : nil
    if layout.movesEverything, let target { try Self.check(target, holds: model, layout) }
    let moved = (target?.bindings ?? []).filter { binding in
      layout.movesEverything || binding.parts.contains { $0.parameter.contains(".self_attn.") }
    }
    self.moved = moved
    zeros =
      layout.additionalZeros(in: model)
      + (target?.zeros ?? []).map {
        TensorDeclaration(name: $0.tensor, elementType: model.elementType, shape: $0.shape)
      }
    repeated = target?.repeated ?? []
    let divided = Set(moved.flatMap { $0.parts.map(\.parameter) }).union(
      layers.flatMap { layer, shape in
        MixtureTensor.all(of: shape.block).map { HerdOutput.name(of: $0, layer: layer) }
      })
    let unused = checkpoint.tensors.filter { $0.name.hasSuffix(Self.trainingNoise) }
    notes = Self.noiseNote(unused.count).map { [$0] } ?? []
    let copies = checkpoint.tensors.filter {
      !layout.movesEverything && !divided.contains($0.name)
        && !$0.name.hasSuffix(Self.trainingNoise)
    }
    self.copies = copies
    var outputs = copies.map {
      TensorDeclaration(name: $0.name, elementType: $0.elementType, shape: $0.shape)
    }
    for binding in moved {
      outputs.append(
        TensorDeclaration(
          name: binding.tensor, elementType: try loader.storedType(of: binding.parts[0].parameter),
          shape: binding.shape))
    }
    for (layer, shape) in layers { outputs += layout.layer(layer, of: shape).declarations }
    outputs += repeated.map {
      TensorDeclaration(name: $0.tensor, elementType: .f32, shape: $0.shape)
    }
    self.outputs = outputs + zeros
  }

  /// Checks that a folder of which every tensor is put together is read as the model it comes from, so
  /// that nothing of it is lost.
  static func check(
    _ target: any CheckpointLayout, holds model: MixtureModel, _ layout: any OutputLayout
  ) throws {
    guard var own = model.structure else { return }
    var read = target.configuration
    for index in own.blocks.indices {
      // How experts are weighted is spelled in two ways, and a scale is in the weights.
      if case .mixture = own.blocks[index].mlp, index < read.blocks.count {
        own.blocks[index].mlp = read.blocks[index].mlp
      }
      for isOwn in [true, false] {
        guard index < read.blocks.count,
          case .linear(var mixer) = (isOwn ? own : read).blocks[index].mixer,
          case .fixed(_, let slopes) = mixer.decay
        else { continue }
        // Slopes may have another name, and were compared as numbers.
        mixer.decay = .fixed(family: "", slopes: slopes.map { _ in 0 })
        if isOwn {
          own.blocks[index].mixer = .linear(mixer)
        } else {
          read.blocks[index].mixer = .linear(mixer)
        }
      }
    }
    guard own == read else {
      throw ConstructionError(
        .refused,
        "--format \(layout.name.rawValue) would hold another model: its config.json has no words for "
          + "all settings of this one; use --format herd")
    }
  }

  /// How the names of router tensors end that only training uses.
  static let trainingNoise = ".mlp.router.noise_weight"

  /// One line on `count` left out tensors of that name; `nil` for none.
  static func noiseNote(_ count: Int) -> String? {
    count == 0
      ? nil : "\(count) router noise weights are left out: only training adds noise to scores"
  }

  /// One line on what scales do to the weights; `nil` when nothing is rounded.
  public var rounding: String? {
    let scales = Set(moved.flatMap(\.parts).map { layout.movedScale(of: $0.parameter, in: model) })
      .filter { StoredElements.rounding(of: model.elementType, by: $0) > 0 }
    let attention = scales.first.map {
      "matrices times \($0) are rounded to \(model.elementType.rawValue)"
    }
    let mlp =
      layout.movesEverything
      ? nil
      : model.firstMixture.flatMap {
        layout.layer($0.layer, of: $0.shape).rounding(of: model.elementType)
      }
    let lines = [mlp, attention].compactMap { $0 }
    return lines.isEmpty ? nil : lines.joined(separator: "; ")
  }

  /// Writes the folder `path`.
  ///
  /// - Parameters:
  ///   - force: Whether a folder of that name is replaced.
  ///   - shardLimit: The largest file, in bytes.
  public func run(to path: String, force: Bool = false, shardLimit: Int = 5_000_000_000) throws {
    let folder = try OutputFolder(path, force: force, keeping: [checkpoint.folder])
    let writer = try CheckpointWriter(
      folder: folder.stagingPath, tensors: outputs, shardLimit: shardLimit)
    let source = SourceReader(checkpoint)
    for tensor in copies { try source.copy(tensor.name, to: writer) }
    for binding in moved { try write(binding, writer) }
    for zeros in zeros { try writer.writeZeros(zeros) }
    for tensor in repeated {
      try tensor.values().map(Float.init).withUnsafeBytes { try writer.write(tensor.tensor, $0) }
    }
    for layer in model.blocks.indices {
      guard !layout.movesEverything, let shape = model.shape(ofLayer: layer) else { continue }
      let places = layout.layer(layer, of: shape)
      for tensor in MixtureTensor.all(of: shape.block) {
        // Gains without a place are zero, or the model would have been refused.
        if tensor == .routerGain, places.places[tensor] == nil { continue }
        try write(tensor, of: layer, to: places.place(of: tensor), writer, source)
      }
      for zeros in places.declarations where places.zeros.contains(zeros.name) {
        try writer.writeZeros(zeros)
      }
    }
    try writer.finish()
    try CompanionFiles.copy(from: checkpoint.folder, to: folder.stagingPath)
    try layout.configuration(of: model).write(to: folder.path(of: "config.json"))
    try carryLedger(to: folder)
    let card = "\(checkpoint.folder)/README.md"
    if Files.exists(card) {
      // Stock formats are loaded by transformers, whatever library made the source.
      let text = String(decoding: try Files.read(card), as: UTF8.self)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map {
        $0 == "library_name: herd" ? "library_name: transformers" : $0
      }
      try Files.write(lines.joined(separator: "\n"), to: folder.path(of: "README.md"))
    }
    try folder.commit()
  }

  private func write(
    _ tensor: MixtureTensor, of layer: Int, to place: LayerLayout.Place,
    _ writer: CheckpointWriter, _ source: SourceReader
  ) throws {
    let name = HerdOutput.name(of: tensor, layer: layer)
    let description = try checkpoint.tensor(name)
    let type = tensor.isRouter ? ElementType.f32 : model.elementType
    guard description.elementType == type else {
      throw ConstructionError(
        .refused,
        "\(name) is \(description.elementType.rawValue) where \(type.rawValue) was expected; save "
          + "the model in one element type, routers in F32")
    }
    let buffer = ByteBuffer(description.byteCount)
    let bytes = buffer.slice(0..<description.byteCount)
    try source.read(name, into: bytes)
    if place.scale != 1, !StoredElements.multiply(bytes, type, by: Float(place.scale)) {
      throw ConstructionError(
        .refused, "\(name) times \(place.scale) is beyond \(type.rawValue); keep the herd format")
    }
    try writer.write(place.name, at: place.byteOffset, UnsafeRawBufferPointer(bytes))
  }

  /// Puts a moved tensor together.
  private func write(_ binding: TensorBinding, _ writer: CheckpointWriter) throws {
    let type = try loader.storedType(of: binding.parts[0].parameter)
    let size = type.bitWidth / 8
    let buffer = ByteBuffer(binding.shape.reduce(size, *))
    var offset = 0
    for part in binding.parts {
      let bytes = buffer.slice(offset..<offset + part.count * size)
      guard try loader.storedType(of: part.parameter) == type else {
        throw ConstructionError(
          .refused,
          "\(part.parameter) has another element type than its neighbours; save the "
            + "model in one")
      }
      try loader.read(part.parameter, part.offset..<part.offset + part.count, into: bytes)
      let scale = layout.movedScale(of: part.parameter, in: model)
      let isFinite =
        scale == 1
        ? StoredElements.areFinite(UnsafeRawBufferPointer(bytes), type)
        : StoredElements.multiply(bytes, type, by: Float(scale))
      guard isFinite else {
        throw ConstructionError(
          .refused,
          "\(part.parameter) times \(scale) is not finite in \(type.rawValue); keep the "
            + "herd format")
      }
      offset += bytes.count
    }
    try writer.write(binding.tensor, UnsafeRawBufferPointer(buffer.slice(0..<offset)))
  }

  /// The ledger stays true when only names and scales change; it has no words for moved attention.
  private func carryLedger(to folder: OutputFolder) throws {
    let path = "\(checkpoint.folder)/\(ByteLedger.fileName)"
    guard !layout.movesAttention, Files.exists(path) else { return }
    var ledger = try ByteLedger(contentsOf: path)
    ledger.format = format
    if var shape = model.firstMixture?.shape, let converted = ledger.shape {
      // The configuration does not tell whether experts overlap.
      shape.block.geometry = converted.block.geometry
      ledger.shape = shape
    }
    try Files.write(ledger.json.serialized() + "\n", to: folder.path(of: ByteLedger.fileName))
  }
}
