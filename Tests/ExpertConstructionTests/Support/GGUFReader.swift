import Formats
import Testing

@testable import ExpertConstruction

/// Reads back what the exporter wrote, independently of how it wrote it.
struct GGUFReader {
  private(set) var metadata: [String: String] = [:]
  private(set) var tensors: [String: (shape: [Int], type: UInt32, values: [Float])] = [:]

  init(_ path: String) throws {
    let bytes = try Files.read(path)
    var position = 0
    func take<Value: FixedWidthInteger & BitwiseCopyable>(_ type: Value.Type) -> Value {
      defer { position += MemoryLayout<Value>.size }
      return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: position, as: type) }
    }
    func text() -> String {
      let count = Int(take(UInt64.self))
      defer { position += count }
      return String(decoding: bytes[position..<position + count], as: UTF8.self)
    }
    func value(_ type: UInt32) -> String {
      switch type {
      case 4: return "\(take(UInt32.self))"
      case 5: return "\(take(Int32.self))"
      case 6: return "\(Float(bitPattern: take(UInt32.self)))"
      case 7: return take(UInt8.self) == 1 ? "true" : "false"
      case 8: return text()
      default:
        let element = take(UInt32.self)
        return (0..<Int(take(UInt64.self))).map { _ in value(element) }.joined(separator: "\n")
      }
    }
    try #require(String(decoding: bytes[0..<4], as: UTF8.self) == "GGUF")
    position = 4
    try #require(take(UInt32.self) == 3)
    let (count, keys) = (take(UInt64.self), take(UInt64.self))
    for _ in 0..<keys {
      let key = text()
      metadata[key] = value(take(UInt32.self))
    }
    var places: [(name: String, shape: [Int], type: UInt32, offset: Int)] = []
    for _ in 0..<count {
      let name = text()
      let shape = (0..<take(UInt32.self)).map { _ in Int(take(UInt64.self)) }
      places.append((name, shape.reversed(), take(UInt32.self), Int(take(UInt64.self))))
    }
    let start = (position + 31) / 32 * 32
    for place in places {
      let elements = place.shape.reduce(1, *)
      try bytes.withUnsafeBytes { raw in
        let data = UnsafeRawBufferPointer(rebasing: raw[(start + place.offset)...])
        let values: [Float]
        switch place.type {
        case 0:
          values = (0..<elements).map { data.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        case 30:
          values = (0..<elements).map {
            Float(
              bitPattern: UInt32(data.loadUnaligned(fromByteOffset: $0 * 2, as: UInt16.self)) << 16)
          }
        case 8:
          values = BlockQuantizer.values(
            UnsafeRawBufferPointer(rebasing: data[..<(elements / 32 * 34)]))
        default: throw ConstructionError(.refused, "type \(place.type)")
        }
        tensors[place.name] = (place.shape, place.type, values)
      }
    }
  }
}
