import CFuzzer
import Formats

/// Hands the process to libFuzzer.
///
/// The callback is formed here because closures of `main.swift` belong to the main actor.
func runFuzzer() -> Int32 {
  var count = CommandLine.argc
  var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
  return LLVMFuzzerRunDriver(&count, &arguments) { data, count in
    fuzz(UnsafeRawBufferPointer(start: data, count: count))
    return 0
  }
}

/// The first byte chooses the parser, the rest is its input.
private func fuzz(_ input: UnsafeRawBufferPointer) {
  guard let choice = input.first else { return }
  let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
  switch choice {
  case UInt8(ascii: "j"): fuzzJSON(bytes)
  case UInt8(ascii: "s"): fuzzSafetensors(bytes)
  case UInt8(ascii: "i"): _ = try? CheckpointIndex(bytes: Array(bytes), path: "index")
  case UInt8(ascii: "c"): fuzzConfiguration(bytes)
  default: break
  }
}

private func fuzzJSON(_ bytes: UnsafeRawBufferPointer) {
  guard let json = try? JSON.parse(bytes) else { return }
  for indent in [nil, 2] {
    precondition((try? JSON.parse(json.serialized(indent: indent))) == json, "no round trip")
  }
}

private func fuzzSafetensors(_ bytes: UnsafeRawBufferPointer) {
  let prefix = UnsafeRawBufferPointer(rebasing: bytes.prefix(8))
  guard
    let length = try? SafetensorsHeader.headerBytes(
      prefix: prefix, fileBytes: bytes.count, file: "x"),
    let header = try? SafetensorsHeader(
      json: UnsafeRawBufferPointer(rebasing: bytes[8..<8 + length]), fileBytes: bytes.count,
      file: "x")
  else { return }
  precondition(header.dataOffset + header.dataCount == bytes.count, "bytes not covered")
  for tensor in header.tensors {
    precondition(tensor.elementCount * tensor.elementType.bitWidth == tensor.byteCount * 8)
    if let rows = tensor.shape.first { _ = try? tensor.byteRange(ofRows: 0..<rows) }
  }
}

private func fuzzConfiguration(_ bytes: UnsafeRawBufferPointer) {
  guard let file = try? ConfigurationFile(path: "x", bytes: Array(bytes)) else { return }
  for (key, _) in file.object {
    _ = try? file.positive(key)
    _ = try? file.tokenIDs(key)
    _ = try? file.sections(key)
  }
  let again = try? ConfigurationFile(path: "x", bytes: Array(file.serialized().utf8))
  precondition(again?.object == file.object, "no round trip")
}
