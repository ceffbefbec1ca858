/// The element types of GGUF that Herd writes; raw values are those of the format.
public enum GGUFElementType: UInt32, Sendable {
  case f32 = 0
  /// Blocks of 32: an `f16` step and 32 signed bytes.
  case q8_0 = 8
  case bf16 = 30

  /// Elements that are stored together; a row is a whole number of blocks.
  public var blockLength: Int { self == .q8_0 ? 32 : 1 }

  /// Bytes of one block.
  public var blockBytes: Int {
    switch self {
    case .f32: 4
    case .bf16: 2
    case .q8_0: 34
    }
  }

  /// Bytes of `count` elements, a multiple of ``blockLength``.
  public func byteCount(_ count: Int) -> Int { count / blockLength * blockBytes }
}

/// A tensor of a GGUF file to be written: all but its bytes.
public struct GGUFTensor: Equatable, Sendable {
  /// The name, unique in the file.
  public var name: String
  /// The type of the elements.
  public var elementType: GGUFElementType
  /// The sizes of the dimensions, outermost first; the file lists them innermost first.
  public var shape: [Int]

  /// A tensor to be written.
  public init(name: String, elementType: GGUFElementType, shape: [Int]) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
  }

  /// The size in bytes.
  public var byteCount: Int { elementType.byteCount(shape.reduce(1, *)) }
}

/// Why a GGUF file could not be written.
public struct GGUFError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong, where, and how to fix it, in one line.
  public let description: String

  init(_ description: String) { self.description = description }
}
