import Formats
import Glibc

/// Checks of tensors that say nothing of their own.
extension ModelLoader {
  /// Refuses a tensor of the format that the model has no parameter for, unless it says nothing.
  static func checkZeros(_ zeros: TensorBinding, _ checkpoint: Checkpoint) throws {
    guard let tensor = checkpoint[zeros.tensor], tensor.shape == zeros.shape else {
      throw ModelError(
        "\(checkpoint.folder): tensor \(zeros.tensor) \(zeros.shape) is missing; the format asks for it"
      )
    }
    let isZero = try checkpoint.withBytes(of: zeros.tensor) { $0.allSatisfy { $0 == 0 } }
    guard isZero else {
      throw ModelError(
        "\(checkpoint.folder): tensor \(zeros.tensor) is not zero, and herd has nothing like it; it would be lost silently"
      )
    }
  }

  /// Refuses a head that is another matrix than the embedding it is tied to.
  static func checkHead(against embedding: String, _ checkpoint: Checkpoint) throws {
    guard let head = checkpoint[ParameterName.head] else { return }
    let table = try checkpoint.tensor(embedding)
    guard head.elementType == table.elementType, head.shape == table.shape,
      try haveSameBytes(head, table, checkpoint)
    else {
      throw ModelError(
        "\(checkpoint.folder): tensor \(head.name) is not \(embedding), to which config.json ties it; set \"tie_word_embeddings\" to false to use it, or leave the tensor out"
      )
    }
  }

  /// Compares two tensors of one size, piece by piece.
  private static func haveSameBytes(
    _ first: TensorDescription, _ second: TensorDescription, _ checkpoint: Checkpoint
  ) throws -> Bool {
    let piece = 1 << 20
    return try withUnsafeTemporaryAllocation(byteCount: 2 * piece, alignment: 64) { buffer in
      for start in stride(from: 0, to: first.byteCount, by: piece) {
        let range = start..<min(start + piece, first.byteCount)
        let left = UnsafeMutableRawBufferPointer(rebasing: buffer[..<range.count])
        let right = UnsafeMutableRawBufferPointer(rebasing: buffer[piece..<piece + range.count])
        try checkpoint.read(first.name, bytes: range, into: left)
        try checkpoint.read(second.name, bytes: range, into: right)
        guard let a = left.baseAddress, let b = right.baseAddress, memcmp(a, b, range.count) == 0
        else { return false }
      }
      return true
    }
  }

  /// Refuses a tensor of which a row says something else than the configuration.
  static func checkRows(of repeated: RepeatedTensor, _ checkpoint: Checkpoint) throws {
    let tensor = try checkpoint.tensor(repeated.tensor)
    guard tensor.shape == repeated.shape else {
      throw ModelError(
        "\(checkpoint.folder): tensor \(tensor.name) has shape \(tensor.shape), config.json asks for \(repeated.shape)"
      )
    }
    let (rounding, slack): (Double, Double)
    switch tensor.elementType {
    case .f32, .f64: (rounding, slack) = (1e-5, repeated.tolerance)
    case .f16: (rounding, slack) = (0x1p-9, repeated.halfTolerance)
    case .bf16: (rounding, slack) = (0x1p-7, repeated.halfTolerance)
    default:
      throw ModelError(
        "\(checkpoint.folder): tensor \(tensor.name) is \(tensor.elementType.rawValue); a floating-point type was expected"
      )
    }
    let length = repeated.rowLength
    for row in repeated.sample {
      let elements = row * length..<(row + 1) * length
      let found = try values(elements, of: tensor, checkpoint)
      for ((found, expected), index) in zip(zip(found, repeated.row(row)), elements)
      where !(abs(found - expected) <= rounding * abs(expected) + slack) {
        throw ModelError(
          "\(checkpoint.folder): tensor \(tensor.name) holds \(found) at element \(index) where the format has \(expected); herd computes with the latter, so it would be another model"
        )
      }
    }
  }

  /// Some elements of a tensor of a floating-point type.
  private static func values(
    _ elements: Range<Int>, of tensor: TensorDescription, _ checkpoint: Checkpoint
  ) throws -> [Double] {
    let size = tensor.elementType.bitWidth / 8
    return try withUnsafeTemporaryAllocation(byteCount: elements.count * size, alignment: 8) {
      bytes in
      try checkpoint.read(
        tensor.name, bytes: elements.lowerBound * size..<elements.upperBound * size, into: bytes)
      func values<Stored: BitwiseCopyable>(_ value: (Stored) -> Double) -> [Double] {
        (0..<elements.count).map {
          value(bytes.loadUnaligned(fromByteOffset: $0 * size, as: Stored.self))
        }
      }
      return switch tensor.elementType {
      case .f64: values { (value: Double) in value }
      case .f16: values { (value: Float16) in Double(value) }
      case .bf16: values { (bits: UInt16) in Double(Float(bitPattern: UInt32(bits) << 16)) }
      default: values { (value: Float) in Double(value) }
      }
    }
  }
}
