/// A dense row-major array on a device.
///
/// A tensor is a value: a shape over shared ``Storage``. Operations are methods of ``Context`` and
/// return new tensors; they enqueue work and never wait for it. Only an explicit read
/// (``Context/read(_:)-(Tensor)``) waits.
public struct Tensor: Sendable {
  /// Extents, slowest-varying first. An empty shape is a scalar.
  public let shape: [Int]
  /// The element type.
  public let dtype: DType
  package var storage: Storage
  /// Offset of the first element in `storage`, in bytes.
  package let byteOffset: Int
  /// Where gradients with respect to this tensor gather; `nil` when none flow.
  package var slot: GradientSlot?

  package init(
    shape: [Int], dtype: DType, storage: Storage, byteOffset: Int = 0, slot: GradientSlot? = nil
  ) {
    self.shape = shape
    self.dtype = dtype
    self.storage = storage
    self.byteOffset = byteOffset
    self.slot = slot
  }

  /// Number of elements.
  public var count: Int { shape.reduce(1, *) }
  /// Bytes the elements take.
  public var byteCount: Int { count * dtype.byteCount }
  /// The device address of the first element.
  package var address: UInt { storage.address + UInt(byteOffset) }
  /// Extent of the last dimension; 1 for a scalar.
  public var columns: Int { shape.last ?? 1 }
  /// Product of all extents but the last.
  public var rows: Int { columns == 0 ? 0 : count / columns }
  /// Whether a gradient flows to this tensor.
  public var requiresGradient: Bool { slot != nil }

  /// The same values, cut off from the tape.
  public func detached() -> Tensor {
    Tensor(shape: shape, dtype: dtype, storage: storage, byteOffset: byteOffset)
  }

  /// The same memory under another shape of equal element count. Keeps the gradient slot: gradients
  /// are kept flat, so the shape they were made under does not matter.
  public func reshaped(_ newShape: [Int]) -> Tensor {
    precondition(newShape.reduce(1, *) == count, "reshape \(shape) to \(newShape)")
    return Tensor(
      shape: newShape, dtype: dtype, storage: storage, byteOffset: byteOffset, slot: slot)
  }

  /// Rows `range` of the first dimension as a view without gradient.
  public func slice(_ range: Range<Int>) -> Tensor {
    precondition(!shape.isEmpty && range.lowerBound >= 0 && range.upperBound <= shape[0])
    let inner = shape.dropFirst().reduce(1, *)
    return Tensor(
      shape: [range.count] + shape.dropFirst(), dtype: dtype, storage: storage,
      byteOffset: byteOffset + range.lowerBound * inner * dtype.byteCount)
  }
}
