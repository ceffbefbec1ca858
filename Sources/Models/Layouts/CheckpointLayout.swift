import Formats

/// How one checkpoint format spells a model: which config fields, which tensors.
public protocol CheckpointLayout: Sendable {
  /// The `model_type` values it reads.
  static var modelTypes: [String] { get }
  /// What the format is called where `model_type` does not say it.
  static var title: String? { get }
  /// Whether a `config.json` is of this format.
  static func reads(_ config: ConfigurationFile) throws -> Bool
  /// Decodes `config.json`.
  init(_ config: ConfigurationFile) throws
  /// The model as a list of blocks.
  var configuration: ModelConfiguration { get }
  /// Every tensor of the checkpoint and the parameters its elements belong to.
  var bindings: [TensorBinding] { get }
  /// Tensors that must be there and must be zero: the format can say more than the model. They have
  /// no parts.
  var zeros: [TensorBinding] { get }
  /// Tensors that say again what `config.json` says: where a file has them, they must hold that.
  var repeated: [RepeatedTensor] { get }
  /// Whether a tensor that `bindings` does not name is known to carry nothing.
  func mayIgnore(_ tensor: String) -> Bool
  /// Fields of `config.json` that only this format has, where its models are saved in herd's own
  /// format; `nil` where they are saved as they were read.
  var foreignFields: [String]? { get }
  /// The same with a selection bias in every mixture, for which the files have no tensors; `nil`
  /// where the format has to say so itself.
  var withSelectionBias: Self? { get }
}

extension CheckpointLayout {
  public var zeros: [TensorBinding] { [] }

  public var repeated: [RepeatedTensor] { [] }

  public static var title: String? { nil }

  public static func reads(_ config: ConfigurationFile) throws -> Bool {
    modelTypes.contains(try config.string("model_type"))
  }

  public var foreignFields: [String]? { nil }

  public var withSelectionBias: Self? { nil }

  public func mayIgnore(_ tensor: String) -> Bool { isRedundant(tensor) }

  /// Whether a tensor says nothing that `config.json` or another tensor does not.
  func isRedundant(_ tensor: String) -> Bool {
    // Old LLaMA checkpoints store the rotary frequencies, which the config determines.
    tensor.hasSuffix(".rotary_emb.inv_freq")
      || (tensor == ParameterName.head && configuration.tiedEmbeddings)
  }
}

/// One tensor of a checkpoint as a concatenation of pieces of parameters, in file order.
public struct TensorBinding: Sendable, Equatable {
  /// A run of consecutive elements of a parameter.
  public struct Part: Sendable, Equatable {
    /// The parameter's name.
    public var parameter: String
    /// First element within the parameter.
    public var offset: Int
    /// Number of elements.
    public var count: Int
  }

  /// The tensor's name in the file.
  public var tensor: String
  /// Its shape in the file.
  public var shape: [Int]
  /// The pieces; their counts add up to the tensor's elements.
  public var parts: [Part]

  /// A tensor that is one whole parameter.
  public init(_ tensor: String, _ shape: [Int], parameter: String? = nil) {
    self.tensor = tensor
    self.shape = shape
    parts = [Part(parameter: parameter ?? tensor, offset: 0, count: shape.reduce(1, *))]
  }

  /// A tensor from explicit pieces.
  public init(_ tensor: String, _ shape: [Int], parts: [Part]) {
    self.tensor = tensor
    self.shape = shape
    self.parts = parts
  }
}

/// A tensor of a checkpoint whose values follow from the configuration.
public struct RepeatedTensor: Sendable {
  /// The tensor's name in the file.
  public var tensor: String
  /// Its shape in the file.
  public var shape: [Int]
  /// How far an element may be from its value: what computing it in f32 loses.
  public var tolerance: Double
  /// The same for a tensor in 16 bits, besides its own rounding: where it was computed in them.
  public var halfTolerance: Double
  /// How many rows it is computed in, all of one length.
  public var rows: Int
  /// What a row must hold.
  public var row: @Sendable (Int) -> [Double]

  /// What it must hold, row after row.
  public func values() -> [Double] { (0..<rows).flatMap(row) }

  /// How many rows are looked at, so that opening a folder costs the same whatever its tables.
  public static let checkedRows = 16

  /// The rows that are looked at: all, or evenly many between the first and the last.
  var sample: [Int] {
    guard rows > Self.checkedRows else { return Array(0..<rows) }
    return (0..<Self.checkedRows).map { $0 * (rows - 1) / (Self.checkedRows - 1) }
  }

  /// Elements of a row.
  var rowLength: Int { shape.reduce(1, *) / rows }
}

/// The layouts this library reads.
public enum CheckpointLayouts {
  /// Every layout, in the order they are offered.
  public static let all: [any CheckpointLayout.Type] = [
    LlamaLayout.self, HerdLayout.self, LlamaMoE2Layout.self, MixtralLayout.self,
    GraniteMoESharedLayout.self, Qwen2MoELayout.self, LlamaMoELayout.self, JetMoELayout.self,
    Glm4MoELayout.self, MiniMaxLayout.self, TransNormerLayout.self, OriginalHGRN2Layout.self,
    HGRN2Layout.self,
  ]

  /// The layout for a `config.json`.
  /// - Throws: ``ModelError`` when the architecture is not one of ``all``.
  public static func layout(for config: ConfigurationFile) throws -> any CheckpointLayout {
    for layout in all {
      if try layout.reads(config) { return try layout.init(config) }
    }
    let type = try config.string("model_type")
    let known = all.flatMap { $0.modelTypes }.joined(separator: ", ")
    throw ModelError(
      "\(config.path): model_type \"\(type)\" is not supported; herd reads \(known)")
  }

  /// The layout for a `config.json` with a selection bias in every mixture, which starts at zero where
  /// the weights have none; a herd `config` is changed to say so.
  /// - Throws: ``ModelError`` for a format that is saved as it is and has no place for it.
  public static func layoutWithSelectionBias(
    for config: inout ConfigurationFile
  ) throws -> any CheckpointLayout {
    let layout = try layout(for: config)
    if layout.configuration.hasSelectionBiases { return layout }
    if let biased = layout.withSelectionBias { return biased }
    try HerdLayout.addSelectionBias(to: &config)
    return try self.layout(for: config)
  }
}
