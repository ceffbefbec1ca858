import Formats
import Models
import Numerics
import TestSupport
import Testing

/// A folder of a stock format with weights that any program can make again, a function of a tensor's
/// name and an element's place:
///
///     seed  = Σ (k+1) · byte k of the name  mod 10007
///     value = ((i+1)(i+seed)·31 + 17·seed + 101·i  mod 2003) / 2003 - 1/2
///
/// and 1 + value/2 where the name ends in `norm.weight`.
struct StockFolder {
  let config: JSONObject
  /// Further tensors, and other values of tensors of the layout.
  var tensors: [(name: String, shape: [Int], values: [Double])] = []
  /// Tensors of the layout that are left out.
  var missing: Set<String> = []

  static func values(_ name: String, count: Int) -> [Double] {
    let seed = name.utf8.enumerated().reduce(0) { $0 + Int($1.1) * ($1.0 + 1) } % 10007
    return (0..<count).map { i in
      let value =
        Double(((i + 1) * (i + seed) * 31 + seed * 17 + i * 101) % 2003) / 2003 - 0.5
      return name.hasSuffix("norm.weight") ? 1 + value / 2 : value
    }
  }

  func layout() throws -> any CheckpointLayout {
    try CheckpointLayouts.layout(for: ConfigurationFile(path: "config.json", object: config))
  }

  /// Writes `config.json` and the weights as F32.
  func write(to folder: String) throws {
    try ConfigurationFile(path: "\(folder)/config.json", object: config)
      .write(to: "\(folder)/config.json")
    let given = Set(tensors.map(\.name))
    var all: [(String, [Int], [Double])] = []
    for binding in try layout().bindings
    where !missing.contains(binding.tensor) && !given.contains(binding.tensor) {
      let count = binding.shape.reduce(1, *)
      all.append((binding.tensor, binding.shape, Self.values(binding.tensor, count: count)))
    }
    all += tensors.map { ($0.name, $0.shape, $0.values) }
    let writer = try CheckpointWriter(
      folder: folder,
      tensors: all.map { .init(name: $0.0, elementType: .f32, shape: $0.1) }, shardLimit: 1 << 30)
    for (name, _, values) in all {
      try values.map(Float.init).withUnsafeBytes { try writer.write(name, $0) }
    }
    try writer.finish()
  }

  /// The model in `folder`.
  static func model(_ folder: String, dtype: DType = .f32, in context: Context) throws
    -> LanguageModel
  {
    let config = try ConfigurationFile(contentsOf: "\(folder)/config.json")
    return try ModelLoader(
      layout: CheckpointLayouts.layout(for: config), checkpoint: Checkpoint(folder: folder)
    ).model(dtype: dtype, in: context)
  }

  /// Why `folder` is no model.
  static func refusal(_ folder: String) -> String {
    do {
      let context = try Context(device: .cpu(threads: 1))
      _ = try model(folder, in: context)
      return "a model"
    } catch {
      return "\(error)"
    }
  }

  /// Saves the model in `folder` in herd's own format, as a training stage does.
  static func save(_ folder: String, asHerd path: String, in context: Context) throws {
    let source = try ConfigurationFile(contentsOf: "\(folder)/config.json")
    let layout = try CheckpointLayouts.layout(for: source)
    let config = HerdLayout.config(for: layout, from: source)
    try config.write(to: "\(path)/config.json")
    try ModelWriter(layout: HerdLayout(config)).write(
      model(folder, in: context), to: path, elementType: .f32, in: context)
  }
}

extension StockFolder {
  /// Herd's own format, in which training saves the folder, holds the same model.
  func expectHerdHoldsIt(
    _ tokens: [Int32], sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let (folder, herd) = (TemporaryFolder(), TemporaryFolder())
    try write(to: folder.path)
    let context = try Context(device: .cpu(threads: 1))
    try Self.save(folder.path, asHerd: herd.path, in: context)
    let (own, other) = try (
      Self.model(folder.path, in: context), Self.model(herd.path, in: context)
    )
    #expect(other.configuration == own.configuration, sourceLocation: sourceLocation)
    let logits = context.read(own.logits(tokens, in: context))
    #expect(
      logits == context.read(other.logits(tokens, in: context)), sourceLocation: sourceLocation)
  }
}
