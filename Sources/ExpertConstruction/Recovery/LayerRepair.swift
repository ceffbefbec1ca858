import Formats
import Models
import Numerics

/// What recovery did to one layer of a conversion.
struct LayerRepair {
  /// What a recovery decided, and how much it helped.
  struct Finding {
    let recovered: RecoveredLayer
    let missed: (before: Double, after: Double)

    init(_ recovery: any Recovery, _ layer: RoutedLayer) throws {
      recovered = try recovery.recover(layer)
      missed = (try layer.missedShare(nil), try layer.missedShare(recovered))
    }
  }

  /// SHA-256 of the down projection that was put in the place of the dense one.
  let digest: String
  /// The share of the dense MLP's output that the mixture missed on the calibration text.
  let missed: (before: Double, after: Double)
  private let bias: [UInt8]?

  /// Puts the recovered down projection into the bytes of the dense layer, rounded to their type.
  init(
    _ finding: Finding, replacing dense: DenseLayerBytes, _ shape: MixtureShape,
    _ layer: Int, _ context: Context
  ) throws {
    let (recovered, target) = (finding.recovered, dense[.down])
    try Self.store(recovered.down_DI, into: target, shape.elementType, layer, context)
    var hasher = TensorHasher()
    hasher.update(UnsafeRawBufferPointer(target))
    digest = hasher.hexadecimal()
    missed = finding.missed
    bias = try recovered.bias_D.map { values in
      var bytes = [UInt8](repeating: 0, count: values.count * shape.elementType.bitWidth / 8)
      try bytes.withUnsafeMutableBytes {
        try Self.store(values, into: $0, shape.elementType, layer, context)
      }
      return bytes
    }
  }

  /// Writes the layer's bias, if it has one.
  /// - Throws: ``ConstructionError`` when the layout has no place for it.
  func writeBias(_ layout: LayerLayout, to writer: CheckpointWriter) throws {
    guard let bias else { return }
    let place = try layout.place(of: .outputBias)
    try bias.withUnsafeBytes { try writer.write(place.name, at: place.byteOffset, $0) }
  }

  private static func store(
    _ values: [Float], into bytes: UnsafeMutableRawBufferPointer, _ type: ElementType,
    _ layer: Int, _ context: Context
  ) throws {
    let dtype = DType(type) ?? .f32
    let exact = context.tensor(values, [values.count])
    context.readBytes(context.cast(exact, to: dtype), into: bytes)
    guard StoredElements.areFinite(UnsafeRawBufferPointer(bytes), type) else {
      throw ConstructionError(
        .proofFailed,
        "layer \(layer): recovery gave weights beyond \(type.rawValue); use more calibration "
          + "data, or --recovery none")
    }
  }
}
