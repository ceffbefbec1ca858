import Glibc

/// The SHA-256 of a dense MLP matrix with some of its neurons replaced by zeros.
enum KeptDigest {
  /// - Parameters:
  ///   - matrix: `[width, hidden]`, or `[hidden, width]` for the down projection.
  ///   - uses: How often each neuron is used; those never used count as zeros.
  static func of(
    _ matrix: UnsafeRawBufferPointer, _ projection: Projection, uses: [Int32], hidden: Int,
    elementSize: Int
  ) -> String {
    var hasher = TensorHasher()
    let isDown = projection == .down
    let rowBytes = (isDown ? uses.count : hidden) * elementSize
    let scratch = ByteBuffer(rowBytes)
    scratch.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    let dropped = uses.indices.filter { uses[$0] == 0 }
    for row in 0..<(isDown ? hidden : uses.count) {
      let bytes = UnsafeRawBufferPointer(rebasing: matrix[row * rowBytes..<(row + 1) * rowBytes])
      if isDown {
        let copy = scratch.slice(0..<rowBytes)
        copy.copyMemory(from: bytes)
        if let start = copy.baseAddress {
          for neuron in dropped { memset(start + neuron * elementSize, 0, elementSize) }
        }
        hasher.update(UnsafeRawBufferPointer(copy))
      } else {
        hasher.update(uses[row] > 0 ? bytes : UnsafeRawBufferPointer(scratch.slice(0..<rowBytes)))
      }
    }
    return hasher.hexadecimal()
  }
}
