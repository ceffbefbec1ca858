/// The element types of the safetensors format; raw values are the names used in files.
///
/// The order is that of the reference implementation, whose writer puts tensors of later types
/// first. It never decreases in alignment.
public enum ElementType: String, CaseIterable, Sendable {
  case bool = "BOOL"
  case f4 = "F4"
  case f6E2M3 = "F6_E2M3"
  case f6E3M2 = "F6_E3M2"
  case u8 = "U8"
  case i8 = "I8"
  case f8E5M2 = "F8_E5M2"
  case f8E4M3 = "F8_E4M3"
  case f8E8M0 = "F8_E8M0"
  case f8E4M3FNUZ = "F8_E4M3FNUZ"
  case f8E5M2FNUZ = "F8_E5M2FNUZ"
  case i16 = "I16"
  case u16 = "U16"
  case f16 = "F16"
  case bf16 = "BF16"
  case i32 = "I32"
  case u32 = "U32"
  case f32 = "F32"
  case c64 = "C64"
  case f64 = "F64"
  case i64 = "I64"
  case u64 = "U64"

  /// The size of one element in bits; elements below eight bits are packed without gaps.
  public var bitWidth: Int {
    switch self {
    case .f4: 4
    case .f6E2M3, .f6E3M2: 6
    case .bool, .u8, .i8, .f8E5M2, .f8E4M3, .f8E8M0, .f8E4M3FNUZ, .f8E5M2FNUZ: 8
    case .i16, .u16, .f16, .bf16: 16
    case .i32, .u32, .f32: 32
    case .c64, .f64, .i64, .u64: 64
    }
  }

  /// The alignment in bytes that a pointer to elements of this type needs.
  public var alignment: Int { self == .c64 ? 4 : max(1, bitWidth / 8) }

  /// The place in the order of the reference implementation.
  var rank: Int { Self.ranks[self] ?? 0 }

  private static let ranks = Dictionary(
    uniqueKeysWithValues: allCases.enumerated().map { ($1, $0) })
}

/// How many bytes a tensor takes, or why that has no answer.
enum TensorSize: Equatable {
  case bytes(Int)
  case overflow
  /// The bits do not fill whole bytes.
  case misaligned

  init(_ elementType: ElementType, _ shape: some Sequence<Int>) {
    var elements = 1
    for dimension in shape {
      let (product, overflow) = elements.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else {
        self = .overflow
        return
      }
      elements = product
    }
    let (bits, overflow) = elements.multipliedReportingOverflow(by: elementType.bitWidth)
    if overflow {
      self = .overflow
    } else {
      self = bits % 8 == 0 ? .bytes(bits / 8) : .misaligned
    }
  }
}
