import Formats
import Numerics

/// One layer's dense MLP as bytes.
final class DenseLayerBytes: Sendable {
  private let buffers: [Projection: ByteBuffer]
  private let count: Int

  init(bytesPerMatrix count: Int) {
    self.count = count
    buffers = Dictionary(uniqueKeysWithValues: Projection.allCases.map { ($0, ByteBuffer(count)) })
  }

  subscript(projection: Projection) -> UnsafeMutableRawBufferPointer {
    guard let buffer = buffers[projection] else { preconditionFailure("a matrix without memory") }
    return buffer.slice(0..<count)
  }
}

/// Some matrices of one mixture layer as bytes, ready to be written.
final class MixtureLayerBytes: Sendable {
  private let buffer: ByteBuffer
  private let ranges: [MixtureTensor: Range<Int>]
  /// The tensors, in the order of their bytes.
  let tensors: [MixtureTensor]

  /// - Parameter old: Bytes that nobody needs any more; their memory is used again where it suffices.
  init(_ shape: MixtureShape, _ tensors: [MixtureTensor], reusing old: MixtureLayerBytes? = nil) {
    var ranges: [MixtureTensor: Range<Int>] = [:]
    var end = 0
    self.tensors = tensors
    for tensor in tensors {
      let count =
        tensor.shape(in: shape.block, hidden: shape.hidden).reduce(1, *)
        * shape.elementType.bitWidth / 8
      ranges[tensor] = end..<end + count
      end += count
    }
    self.ranges = ranges
    let usable = old.flatMap { $0.buffer.bytes.count == max(1, end) ? $0.buffer : nil }
    buffer = usable ?? ByteBuffer(end)
  }

  subscript(tensor: MixtureTensor) -> UnsafeMutableRawBufferPointer {
    buffer.slice(ranges[tensor] ?? 0..<0)
  }
}

extension Context {
  /// Runs `body` on an MLP whose matrices are the given bytes.
  func withMLP<Result>(
    width: Int, hidden: Int, _ type: ElementType,
    bytes: (Projection) -> UnsafeMutableRawBufferPointer, _ body: (MLPWeights) throws -> Result
  ) rethrows -> Result {
    let dtype: DType =
      switch type {
      case .bf16: .bf16
      case .f16: .f16
      default: .f32
      }
    return try withBorrowed(UnsafeRawBufferPointer(bytes(.gate)), [width, hidden], dtype) { gate in
      try withBorrowed(UnsafeRawBufferPointer(bytes(.up)), [width, hidden], dtype) { up in
        try withBorrowed(UnsafeRawBufferPointer(bytes(.down)), [hidden, width], dtype) { down in
          try body(MLPWeights(gate_ID: gate, up_ID: up, down_DI: down))
        }
      }
    }
  }
}
