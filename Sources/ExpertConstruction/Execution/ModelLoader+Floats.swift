import Formats
import Models

extension ModelLoader {
  /// Elements of a parameter as `f32`.
  func floats(_ parameter: String, _ elements: Range<Int>) throws -> [Float] {
    let type = try storedType(of: parameter)
    let buffer = ByteBuffer(elements.count * type.bitWidth / 8)
    let bytes = buffer.slice(0..<elements.count * type.bitWidth / 8)
    try read(parameter, elements, into: bytes)
    return [Float](unsafeUninitializedCapacity: elements.count) { values, count in
      StoredElements.widen(
        UnsafeRawBufferPointer(bytes), type,
        into: UnsafeMutableBufferPointer(rebasing: values[..<elements.count]))
      count = elements.count
    }
  }
}
