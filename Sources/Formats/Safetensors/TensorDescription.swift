/// A tensor in a safetensors file: all but its bytes.
public struct TensorDescription: Equatable, Sendable {
  /// The name, unique within its file by its UTF-8 bytes.
  public let name: String
  /// The type of the elements.
  public let elementType: ElementType
  /// The sizes of the dimensions, outermost first; empty for a scalar.
  public let shape: [Int]
  /// Where the elements lie within the data section of the file, in row-major little-endian order.
  public let byteRange: Range<Int>

  /// The size in bytes.
  public var byteCount: Int { byteRange.count }

  /// The number of elements.
  public var elementCount: Int { shape.reduce(1, *) }

  /// The bytes, from the start of the tensor, of the slices `rows` along the first dimension.
  ///
  /// - Throws: `SafetensorsError` when the tensor has no such rows, or when elements below eight
  ///   bits make a row begin or end inside a byte.
  public func byteRange(ofRows rows: Range<Int>) throws(SafetensorsError) -> Range<Int> {
    guard let count = shape.first, rows.lowerBound >= 0, rows.upperBound <= count else {
      throw SafetensorsError(
        "", .rowsOutOfRange(tensor: name, rows: rows, count: shape.first ?? 0))
    }
    // No overflow: each product is at most the tensor's bits, which were checked.
    let rowBits = shape.dropFirst().reduce(elementType.bitWidth, *)
    let (start, end) = (rows.lowerBound * rowBits, rows.upperBound * rowBits)
    guard start % 8 == 0, end % 8 == 0 else {
      throw SafetensorsError("", .misalignedSlice(tensor: name))
    }
    return start / 8..<end / 8
  }
}

/// A tensor to be written: all but its bytes.
public struct TensorDeclaration: Equatable, Sendable {
  /// The name, unique within its checkpoint.
  public var name: String
  /// The type of the elements.
  public var elementType: ElementType
  /// The sizes of the dimensions, outermost first; empty for a scalar.
  public var shape: [Int]

  /// A tensor to be written.
  public init(name: String, elementType: ElementType, shape: [Int]) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
  }
}
