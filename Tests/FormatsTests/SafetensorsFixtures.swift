import Formats

/// Safetensors bytes from a header text: its length, the text, and `data` zero bytes.
func safetensors(_ header: String, data: Int = 0) -> [UInt8] {
  safetensors(Array(header.utf8), data: data)
}

/// Safetensors bytes from header bytes.
func safetensors(_ header: [UInt8], data: Int = 0) -> [UInt8] {
  littleEndian(UInt64(header.count)) + header + [UInt8](repeating: 0, count: data)
}

func littleEndian(_ value: UInt64) -> [UInt8] {
  (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

/// One member of a header.
func entry(
  _ name: String, _ type: String, _ shape: String, _ offsets: String
) -> String {
  "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}"
}

/// Safetensors bytes of two small tensors and metadata.
let twoTensors: [UInt8] = {
  let entries = [entry("a", "F32", "[2,3]", "[0,24]"), entry("b", "BF16", "[4]", "[24,32]")]
  var header = "{\"__metadata__\":{\"format\":\"pt\"}," + entries.joined(separator: ",") + "}"
  while header.utf8.count % 8 != 0 { header += " " }
  return safetensors(header) + (0..<32).map { UInt8($0) }
}()

/// The bytes of a tensor.
func bytes(of name: String, in file: SafetensorsFile) throws -> [UInt8] {
  try file.withBytes(of: name) { Array($0) }
}
