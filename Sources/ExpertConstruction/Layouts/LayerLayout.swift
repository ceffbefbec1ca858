import Formats

/// Where the tensors of one mixture layer are in a checkpoint.
public struct LayerLayout: Sendable {
  /// A tensor's place: a contiguous run of bytes of one file tensor.
  public struct Place: Equatable, Sendable {
    /// The name in the file.
    public var name: String
    /// Where the bytes begin in that tensor.
    public var byteOffset: Int
    /// The factor on the stored values.
    public var scale: Double
  }

  /// The tensors in the file.
  public private(set) var declarations: [TensorDeclaration] = []
  /// Where each tensor of the layer is.
  public private(set) var places: [MixtureTensor: Place] = [:]
  /// Declared tensors that hold nothing but zeros.
  public private(set) var zeros: [String] = []

  /// Where `tensor` is.
  /// - Throws: ``ConstructionError`` when the format has no place for it, so that its values would be
  ///   lost.
  func place(of tensor: MixtureTensor) throws(ConstructionError) -> Place {
    guard let place = places[tensor] else {
      throw ConstructionError(
        .refused, "the format has no place for \(tensor); use --format herd")
    }
    return place
  }

  /// One line on what the scales do to weights of type `type`; `nil` when nothing is rounded.
  func rounding(of type: ElementType) -> String? {
    let scales = Set(places.filter { $0.key.isMatrix }.map(\.value.scale))
      .filter { StoredElements.rounding(of: type, by: $0) > 0 }
    guard !scales.isEmpty else { return nil }
    let list = scales.sorted().map { "\($0)" }.joined(separator: ", ")
    return "down projections times \(list) are rounded to \(type.rawValue)"
  }

  private let model: MixtureShape
  private var block: MixtureBlock { model.block }

  init(_ model: MixtureShape) { self.model = model }

  /// The tensors of a pruned MLP, which every format spells as a dense one.
  static func pruned(_ index: Int, of model: MixtureShape) -> LayerLayout {
    var layout = LayerLayout(model)
    for projection in Projection.allCases {
      layout.place(.dense(projection), DenseSource.name(index, projection))
    }
    return layout
  }

  /// Puts `tensor` into a file tensor of its own.
  mutating func place(_ tensor: MixtureTensor, _ name: String, scale: Double = 1) {
    place([tensor], name, shape: tensor.shape(in: block, hidden: model.hidden), scale: scale)
  }

  /// Puts `tensors` one after another into one file tensor.
  mutating func place(_ tensors: [MixtureTensor], _ name: String, shape: [Int], scale: Double = 1) {
    let elementType = tensors.contains(where: \.isRouter) ? ElementType.f32 : model.elementType
    declarations.append(TensorDeclaration(name: name, elementType: elementType, shape: shape))
    var offset = 0
    for tensor in tensors {
      places[tensor] = Place(name: name, byteOffset: offset, scale: scale)
      offset +=
        tensor.shape(in: block, hidden: model.hidden).reduce(1, *) * elementType.bitWidth / 8
    }
  }

  /// Adds a tensor of zeros.
  mutating func placeZeros(_ name: String, shape: [Int], elementType: ElementType? = nil) {
    declarations.append(
      TensorDeclaration(name: name, elementType: elementType ?? model.elementType, shape: shape))
    zeros.append(name)
  }
}

extension MixtureTensor {
  /// Whether this is one of the router's tensors, which are always `f32`.
  var isRouter: Bool {
    switch self {
    case .router, .routerUp, .routerBias, .selectionBias, .routerGain: true
    case .expert, .shared, .dense, .outputBias: false
    }
  }

  /// Whether this is a matrix of neurons.
  var isMatrix: Bool {
    switch self {
    case .expert, .shared, .dense: true
    case .router, .routerUp, .routerBias, .selectionBias, .routerGain, .outputBias: false
    }
  }
}
