import Formats

/// A herd model written in the format of a stock architecture.
public struct Export {
  /// The format to write.
  public let format: OutputFormat
  /// The model.
  public let model: MixtureModel
  /// Every tensor to be written.
  public let outputs: [TensorDeclaration]
  private let checkpoint: Checkpoint
  private let layout: any OutputLayout
  private let copies: [TensorDescription]

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
    self.checkpoint = checkpoint
    self.format = format
    let layout = format.make()
    self.layout = layout
    let model = try MixtureModel(herd: configuration, checkpoint)
    self.model = model
    if let refusal = layout.refusal(of: model) {
      throw ConstructionError(
        .refused, "--format \(format.rawValue) cannot hold \(checkpoint.folder): \(refusal)")
    }
    let layers = model.blocks.indices.compactMap { layer in
      model.shape(ofLayer: layer).map { (layer, $0) }
    }
    let divided = Set(
      layers.flatMap { layer, shape in
        MixtureTensor.all(of: shape.block).map { HerdOutput.name(of: $0, layer: layer) }
      })
    let copies = checkpoint.tensors.filter { !divided.contains($0.name) }
    self.copies = copies
    outputs =
      copies.map {
        TensorDeclaration(name: $0.name, elementType: $0.elementType, shape: $0.shape)
      }
      + layers.flatMap { layer, shape in layout.layer(layer, of: shape).declarations }
      + layout.additionalZeros(in: model)
  }

  /// One line on what scales do to the weights; `nil` when nothing is rounded.
  public var rounding: String? {
    shape.flatMap { layout.layer(0, of: $0).rounding(of: model.elementType) }
  }

  /// What decides the tensors of the layers that have experts.
  private var shape: MixtureShape? {
    model.blocks.indices.lazy.compactMap { model.shape(ofLayer: $0) }.first
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
    for zeros in layout.additionalZeros(in: model) { try writer.writeZeros(zeros) }
    for layer in model.blocks.indices {
      guard let shape = model.shape(ofLayer: layer) else { continue }
      let places = layout.layer(layer, of: shape)
      for tensor in MixtureTensor.all(of: shape.block) {
        // Gains are zero, or the model would have been refused.
        guard let place = places.places[tensor] else { continue }
        try write(tensor, of: layer, to: place, writer, source)
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

  /// The ledger stays true when only names and scales change.
  private func carryLedger(to folder: OutputFolder) throws {
    let path = "\(checkpoint.folder)/\(ByteLedger.fileName)"
    guard Files.exists(path) else { return }
    var ledger = try ByteLedger(contentsOf: path)
    ledger.format = format
    if var shape, let converted = ledger.shape {
      // The configuration does not tell whether experts overlap.
      shape.block.geometry = converted.block.geometry
      ledger.shape = shape
    }
    try Files.write(ledger.json.serialized() + "\n", to: folder.path(of: ByteLedger.fileName))
  }
}
