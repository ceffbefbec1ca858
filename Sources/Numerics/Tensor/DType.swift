/// The element type of a ``Tensor``.
///
/// Parameters and activations are `f32` on the CPU, weights may also be stored as `bf16` or `f16`; on
/// a GPU activations may be `bf16` too, beside `f32` parameters and statistics;
/// `f64` exists so that gradients can be checked by central differences; `i32` holds token ids,
/// expert ids, counts and offsets; `u8` holds the codes of quantised optimizer state.
public enum DType: String, Sendable, CaseIterable {
  case f32, bf16, f16, f64, i32, u8

  /// Bytes one element takes.
  public var byteCount: Int {
    switch self {
    case .f64: 8
    case .f32, .i32: 4
    case .bf16, .f16: 2
    case .u8: 1
    }
  }

  /// The type of what is gathered over many values of this type, such as norms, softmax sums and
  /// losses: never less than `f32`.
  public var statistic: DType { self == .f64 ? .f64 : .f32 }

  /// Whether values of this type are numbers with a fraction, as weights are.
  public var isFloatingPoint: Bool { self != .i32 && self != .u8 }

  /// Whether sums and gradients are gathered in this type.
  public var isReal: Bool { self == .f32 || self == .f64 }
}
