import Formats
import Numerics

/// Reads a model's parameters from a checkpoint.
public struct ModelLoader {
  /// The format and block list.
  public let layout: any CheckpointLayout
  /// The files.
  public let checkpoint: Checkpoint
  /// Where the elements of each parameter are, in ascending order.
  let parts: [String: [Piece]]

  /// A run of a parameter's elements and where the files hold it.
  struct Piece {
    let tensor: String
    let fileOffset: Int
    let offset: Int
    let count: Int
  }

  /// Checks that the layout and the files agree on every tensor. Weights are not read, but tensors
  /// that must say nothing of their own are: zeros and a second copy of the embedding wholly, of tables
  /// that `config.json` determines some rows.
  /// - Parameter selectionBiasFromZero: Accepts a checkpoint without the selection biases that the
  ///   layout has; they start at zero.
  /// - Throws: ``ModelError`` naming a missing, misshapen, unsupported or unknown tensor.
  public init(
    layout: any CheckpointLayout, checkpoint: Checkpoint, selectionBiasFromZero: Bool = false
  ) throws {
    self.layout = layout
    self.checkpoint = checkpoint
    var parts: [String: [Piece]] = [:]
    var named: Set<String> = []
    for binding in layout.bindings {
      named.insert(binding.tensor)
      if selectionBiasFromZero, checkpoint[binding.tensor] == nil,
        Self.startsAtZero(binding.tensor)
      {
        continue
      }
      guard let tensor = checkpoint[binding.tensor] else {
        throw ModelError(
          "\(checkpoint.folder): tensor \(binding.tensor) \(binding.shape) is missing; config.json asks for it"
        )
      }
      guard tensor.shape == binding.shape else {
        throw ModelError(
          "\(checkpoint.folder): tensor \(binding.tensor) has shape \(tensor.shape), config.json asks for \(binding.shape)"
        )
      }
      guard DType(tensor.elementType)?.isFloatingPoint == true else {
        throw ModelError(
          "\(checkpoint.folder): tensor \(binding.tensor) is \(tensor.elementType.rawValue); herd computes with F32, BF16, F16 and F64 weights, so dequantise the checkpoint first"
        )
      }
      var fileOffset = 0
      for part in binding.parts {
        parts[part.parameter, default: []].append(
          Piece(
            tensor: binding.tensor, fileOffset: fileOffset, offset: part.offset, count: part.count))
        fileOffset += part.count
      }
    }
    for zeros in layout.zeros {
      named.insert(zeros.tensor)
      try Self.checkZeros(zeros, checkpoint)
    }
    for tensor in layout.repeated where checkpoint[tensor.tensor] != nil {
      named.insert(tensor.tensor)
      try Self.checkRows(of: tensor, checkpoint)
    }
    for tensor in checkpoint.tensors
    where !named.contains(tensor.name) && !layout.mayIgnore(tensor.name) {
      throw ModelError(
        "\(checkpoint.folder): tensor \(tensor.name) is not used by model_type of this config.json; it would be lost silently"
      )
    }
    if layout.configuration.tiedEmbeddings, !named.contains(ParameterName.head),
      let embedding = parts[ParameterName.embedding]?.first?.tensor
    {
      try Self.checkHead(against: embedding, checkpoint)
    }
    self.parts = parts.mapValues { $0.sorted { $0.offset < $1.offset } }
  }

  /// The names of the tensors that the layout knows to carry nothing.
  public var ignoredTensors: [String] {
    let named = Set(
      (layout.bindings + layout.zeros).map(\.tensor) + layout.repeated.map(\.tensor))
    return checkpoint.tensors.map(\.name).filter { !named.contains($0) }
  }

  /// Loads the whole model.
  /// - Parameter dtype: Element type of the weights; `nil` keeps the stored type of matrices. Where
  ///   matrices are 16-bit, norm gains, biases, routers and gates are `f32`.
  public func model(dtype: DType? = .f32, in context: Context) throws -> LanguageModel {
    var parameters: [Parameter] = []
    for shape in layout.configuration.parameterShapes {
      parameters.append(try parameter(shape, dtype: dtype, in: context))
    }
    return try LanguageModel(layout.configuration, parameters: parameters, in: context)
  }

  /// Loads one block on its own, for work that streams through a model layer by layer.
  public func block(_ index: Int, dtype: DType? = .f32, in context: Context) throws -> Block {
    let prefix = ParameterName.block(index) + "."
    var parameters: [Parameter] = []
    let usesBounds: Bool
    if case .linear(let linear) = layout.configuration.blocks[index].mixer {
      usesBounds = linear.lowerBound != nil
    } else {
      usesBounds = false
    }
    for shape in layout.configuration.parameterShapes
    where shape.name.hasPrefix(prefix) || (usesBounds && shape.name == ParameterName.lowerBounds) {
      parameters.append(try parameter(shape, dtype: dtype, in: context))
    }
    return try Block(
      layout.configuration.blocks[index], of: layout.configuration,
      prefix: ParameterName.block(index),
      store: ParameterStore(parameters, computeType: dtype == .f64 ? .f64 : .f32), in: context)
  }

  /// Loads one parameter by name.
  public func parameter(named name: String, dtype: DType? = .f32, in context: Context) throws
    -> Parameter
  {
    guard let shape = layout.configuration.parameterShapes.first(where: { $0.name == name }) else {
      throw ModelError("parameter \(name) does not exist in this model")
    }
    return try parameter(shape, dtype: dtype, in: context)
  }

  /// Balancing by selection bias may begin on a model that never had one.
  private static func startsAtZero(_ name: String) -> Bool {
    name.hasSuffix(".router.selection_bias")
  }

  private func parameter(_ shape: ParameterShape, dtype: DType?, in context: Context) throws
    -> Parameter
  {
    if parts[shape.name] == nil, Self.startsAtZero(shape.name) {
      return Parameter(shape.name, context.zeros(shape.shape, (dtype ?? .f32).statistic))
    }
    let pieces = parts[shape.name] ?? []
    let total = shape.shape.reduce(1, *)
    guard pieces.reduce(0, { $0 + $1.count }) == total, let first = pieces.first,
      let stored = checkpoint[first.tensor].flatMap({ DType($0.elementType) })
    else {
      throw ModelError("parameter \(shape.name) \(shape.shape) is not covered by the checkpoint")
    }
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: total * stored.byteCount, alignment: 64)
    defer { bytes.deallocate() }
    for piece in pieces {
      guard checkpoint[piece.tensor].flatMap({ DType($0.elementType) }) == stored else {
        throw ModelError(
          "\(checkpoint.folder): the tensors of \(shape.name) have different dtypes; write them in one"
        )
      }
      let size = stored.byteCount
      try checkpoint.read(
        piece.tensor, bytes: piece.fileOffset * size..<(piece.fileOffset + piece.count) * size,
        into: UnsafeMutableRawBufferPointer(
          rebasing: bytes[piece.offset * size..<(piece.offset + piece.count) * size]))
    }
    if let index = firstNonFinite(UnsafeRawBufferPointer(bytes), stored) {
      let piece = pieces.first { $0.offset <= index && index < $0.offset + $0.count } ?? first
      throw ModelError(
        "\(checkpoint.folder): tensor \(piece.tensor) holds NaN or infinity at element \(index - piece.offset + piece.fileOffset); the checkpoint is damaged"
      )
    }
    let raw = context.tensor(bytes: UnsafeRawBufferPointer(bytes), shape.shape, stored)
    let wanted = dtype ?? (shape.staysFull ? .f32 : stored)
    return Parameter(
      shape.name, context.cast(raw, to: shape.staysFull ? wanted.statistic : wanted))
  }
}

extension DType {
  /// The type that tensors of a stored element type have, where there is one.
  public init?(_ elementType: ElementType) {
    switch elementType {
    case .f32: self = .f32
    case .bf16: self = .bf16
    case .f16: self = .f16
    case .f64: self = .f64
    case .i32: self = .i32
    case .u8: self = .u8
    default: return nil
    }
  }

  /// The stored element type of values of this type.
  public var elementType: ElementType {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    case .f64: .f64
    case .i32: .i32
    case .u8: .u8
    }
  }
}
