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
    /// The same with the neurons that were left out as zeros; `nil` where none was.
    public var keptSHA256: String?
    /// The same of the matrix that recovery put in its place; `nil` where it put none.
    public var rewrittenSHA256: String?
    /// How often each head of it is there; `nil` where once.
    public var copies: HeadCopies?
  }

  /// A tensor that the source has not.
  public struct Created: Equatable, Sendable {
    /// The tensor and what it was filled with.
    public var parameter: NewParameter
    /// SHA-256 of the bytes, in hexadecimal.
    public var sha256: String

    init(_ parameter: NewParameter, sha256: String) {
      self.parameter = parameter
      self.sha256 = sha256
    }
  }

  /// What was added to the source.
  public struct Creation: Equatable, Sendable {
    /// The seed of what was drawn.
    public var seed: UInt64
    /// The new tensors.
    public var tensors: [Created]
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
  /// The neurons of each layer, `nil` where its MLP is dense; empty when all are.
  public var splits: [NeuronSplit?]
  /// Where neurons were drawn anew: what they were drawn from.
  public var redraw: Redraw?
  /// The tensors that a move to linear attention added; `nil` for conversions.
  public var creation: Creation?

  /// What gives neurons that were drawn anew.
  public struct Redraw: Equatable, Sendable {
    /// The seed of all draws.
    public var seed: UInt64
    /// By layer and expert, the distribution of each matrix's new weights.
    public var normals: [Int: [[Projection: NormalDistribution]]]
  }

  /// The neurons of layer `layer`; `nil` where its MLP is dense.
  func split(ofLayer layer: Int) -> NeuronSplit? {
    layer < splits.count ? splits[layer] : nil
  }

  /// What decides the tensors of one layer: ``shape``, with the units shared that its split shares.
  func shape(ofLayer layer: Int) throws -> MixtureShape? {
    guard var own = shape, let split = split(ofLayer: layer) else { return shape }
    own.block.geometry = try Self.geometry(own, shared: split.shared.count)
    return own
  }

  /// The geometry of a layer with `shared` shared neurons.
  static func geometry(_ shape: MixtureShape, shared: Int) throws -> SplitGeometry {
    let geometry = shape.block.geometry
    guard shared != geometry.sharedWidth, geometry.form != .pruned else { return geometry }
    guard shared % max(1, geometry.expertWidth) == 0 else {
      throw ConstructionError(
        .damagedSource, "\(shared) shared neurons are not units of \(geometry.expertWidth)")
    }
    return try geometry.sharing(shared / geometry.expertWidth)
  }

  /// One line on what the stored scales did to the weights; `nil` when nothing was rounded.
  public var rounding: String? {
    shape.flatMap { format.make().places(0, of: $0).rounding(of: $0.elementType) }
  }

  /// How often each neuron of each layer is used; only layers where that is not once everywhere.
  public var unevenUses: [Int: [Int32]] {
    guard let geometry = shape?.block.geometry, geometry.form != .partition else { return [:] }
    var uses: [Int: [Int32]] = [:]
    for (layer, split) in splits.enumerated() {
      guard let counts = split?.uses(width: geometry.width) else { continue }
      if counts.contains(where: { $0 != 1 }) { uses[layer] = counts }
    }
    return uses
  }

  /// Whether every expert is the dense MLP, whole and unchanged.
  public var holdsWholeCopies: Bool { shape?.block.geometry.form == .copied && redraw == nil }

  /// Neurons of all layers that no unit uses.
  public var droppedNeurons: Int { unevenUses.values.joined().count { $0 == 0 } }

  /// Neurons of all layers that several units use.
  public var repeatedNeurons: Int { unevenUses.values.joined().count { $0 > 1 } }

  /// One line on which neurons are left out or used more than once; `nil` when each is used once.
  public var neuronNote: String? {
    guard let geometry = shape?.block.geometry, let first = unevenUses.keys.min(),
      let uses = unevenUses[first]
    else { return nil }
    if geometry.form == .copied { return copyNote(geometry, first) }
    var parts: [String] = []
    for (verb, count, matches) in [
      ("left out", droppedNeurons, { $0 == 0 }),
      ("used more than once", repeatedNeurons, { $0 > 1 }),
    ] as [(String, Int, (Int32) -> Bool)] where count > 0 {
      parts.append(
        "\(count) of \(geometry.width * unevenUses.count) \(verb) (layer \(first): "
          + Self.ranges(uses.indices.filter { matches(uses[$0]) }) + ")")
    }
    return "MLP neurons: \(parts.joined(separator: "; ")); all in \(Self.fileName)"
  }

  /// One line on copies; `first` is the first layer that has some.
  private func copyNote(_ geometry: SplitGeometry, _ first: Int) -> String {
    let layers = splits.compactMap { $0 }
    let redrawn = layers.reduce(0) { $0 + $1.redrawn.reduce(0) { $0 + $1.count } }
    let all = "MLP neurons: each of \(geometry.experts) experts is a copy of the whole MLP"
    guard redrawn > 0, let example = split(ofLayer: first)?.redrawn(ofExpert: 0) else { return all }
    return "\(all), \(redrawn) of \(layers.count * geometry.experts * geometry.width) drawn anew "
      + "(layer \(first), expert 0: \(Self.ranges(example.map { Int($0) }))); all in \(Self.fileName)"
  }

  /// Ascending numbers as runs, `0-3, 7`; at most six of them.
  static func ranges(_ numbers: [Int]) -> String {
    var runs: [(Int, Int)] = []
    for number in numbers {
      if let last = runs.last, last.1 == number - 1 {
        runs[runs.count - 1].1 = number
      } else {
        runs.append((number, number))
      }
    }
    let text = runs.prefix(6).map { $0.0 == $0.1 ? "\($0.0)" : "\($0.0)-\($0.1)" }
      .joined(separator: ", ")
    return runs.count > 6 ? text + ", …" : text.isEmpty ? "none" : text
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
