import Formats
import Numerics

/// Writes a model's parameters in the layout they were read from.
public struct ModelWriter {
  private let layout: any CheckpointLayout

  /// A writer for `layout`.
  public init(layout: any CheckpointLayout) { self.layout = layout }

  /// Writes every tensor of the layout into `folder`, element type `elementType`.
  ///
  /// Router tensors of the `herd` format and selection biases of any format stay F32: they are small
  /// and steer everything.
  /// - Parameter shardLimit: Largest file in bytes.
  public func write(
    _ model: LanguageModel, to folder: String, elementType: ElementType,
    shardLimit: Int = 5_000_000_000, in context: Context
  ) throws {
    let parameters = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0) })
    let bindings = layout.bindings
    let zeros = layout.zeros.map {
      TensorDeclaration(name: $0.tensor, elementType: elementType, shape: $0.shape)
    }
    let writer = try CheckpointWriter(
      folder: folder,
      tensors: bindings.map {
        TensorDeclaration(
          name: $0.tensor, elementType: storedType($0, elementType), shape: $0.shape)
      } + zeros, shardLimit: shardLimit)
    for tensor in zeros { try writer.writeZeros(tensor) }
    for binding in bindings {
      let type = storedType(binding, elementType)
      guard let dtype = DType(type), dtype.isFloatingPoint else {
        throw ModelError("\(type.rawValue) cannot be written; choose F32, BF16 or F16")
      }
      var written = 0
      for part in binding.parts {
        guard let parameter = parameters[part.parameter] else {
          throw ModelError("parameter \(part.parameter) is missing from the model to be written")
        }
        let flat = parameter.value.reshaped([parameter.value.count])
          .slice(part.offset..<part.offset + part.count)
        let stored = context.cast(flat, to: dtype)
        let bytes = UnsafeMutableRawBufferPointer.allocate(
          byteCount: stored.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        context.readBytes(stored, into: bytes)
        try writer.write(binding.tensor, at: written, UnsafeRawBufferPointer(bytes))
        written += bytes.count
      }
    }
    try writer.finish()
  }

  private func storedType(_ binding: TensorBinding, _ elementType: ElementType) -> ElementType {
    let staysFull =
      layout is HerdLayout
      ? binding.tensor.contains(".router.") || ParameterName.isSensitive(binding.tensor)
      : binding.parts.contains { $0.parameter.hasSuffix(".router.selection_bias") }
    return staysFull ? .f32 : elementType
  }
}
