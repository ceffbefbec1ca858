/// The element type of a ``Tensor``.
///
/// Parameters and activations are `f32` on the CPU, weights may also be stored as `bf16` or `f16`; on
/// a GPU activations may be `bf16` too, beside `f32` parameters and statistics;
/// `f64` exists so that gradients can be checked by central differences; `i32` holds token ids,
/// expert ids, counts and offsets.
public enum DType: String, Sendable, CaseIterable {
  case f32, bf16, f16, f64, i32

  /// Bytes one element takes.
  public var byteCount: Int {
    switch self {
    case .f64: 8
    case .f32, .i32: 4
    case .bf16, .f16: 2
    }
  }

  /// The type of what is gathered over many values of this type, such as norms, softmax sums and
  /// losses: never less than `f32`.
  public var statistic: DType { self == .f64 ? .f64 : .f32 }

  /// Whether parameters of this type can be trained.
  public var isReal: Bool { self == .f32 || self == .f64 }
}
