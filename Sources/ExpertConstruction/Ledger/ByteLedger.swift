import Formats

/// The account of a conversion: what every source tensor held, and where its elements went.
///
/// It is stored next to the weights as `herd_ledger.json`. With it the dense checkpoint can be
/// restored from the mixture and compared, byte by byte, without having the dense one.
public struct ByteLedger: Equatable, Sendable {
  /// A source tensor.
  public struct Entry: Equatable, Sendable {
    /// The name in the dense checkpoint.
    public var name: String
    /// The element type.
    public var elementType: ElementType
    /// The shape.
    public var shape: [Int]
    /// SHA-256 of the bytes, in hexadecimal.
    public var sha256: String
  }

  /// The file's name inside a checkpoint folder.
  public static let fileName = "herd_ledger.json"

  /// The format of the checkpoint the ledger belongs to.
  public var format: OutputFormat
  /// What decides the tensors of each layer's MLP; `nil` when MLPs are dense. Layers may share another
  /// number of its units.
  public var shape: MixtureShape?
  /// Every source tensor, in file order.
  public var source: [Entry]
  /// The neurons of each layer; empty when MLPs are dense.
  public var splits: [NeuronSplit]

  /// What decides the tensors of one layer: ``shape``, with the units shared that its split shares.
  func shape(ofLayer layer: Int) throws -> MixtureShape? {
    guard var own = shape, layer < splits.count else { return shape }
    own.block.geometry = try Self.geometry(own, shared: splits[layer].shared.count)
    return own
  }

  /// The geometry of a layer with `shared` shared neurons.
  static func geometry(_ shape: MixtureShape, shared: Int) throws -> SplitGeometry {
    let geometry = shape.block.geometry
    guard shared != geometry.sharedWidth else { return geometry }
    guard shared % max(1, geometry.expertWidth) == 0 else {
      throw ConstructionError(
        .damagedSource, "\(shared) shared neurons are not units of \(geometry.expertWidth)")
    }
    return try geometry.sharing(shared / geometry.expertWidth)
  }

  /// One line on what the stored scales did to the weights; `nil` when nothing was rounded.
  public var rounding: String? {
    shape.flatMap { format.make().layer(0, of: $0).rounding(of: $0.elementType) }
  }

  /// One digest for the whole source: SHA-256 over the tensors' names and digests.
  public var sourceDigest: String {
    var hasher = TensorHasher()
    for entry in source.sorted(by: { $0.name < $1.name }) {
      Array("\(entry.name) \(entry.sha256)\n".utf8).withUnsafeBytes { hasher.update($0) }
    }
    return hasher.hexadecimal()
  }
}
