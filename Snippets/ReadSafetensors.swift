// Lists the tensors of a safetensors file and reads two rows of one, nothing else.
//
//   swift run ReadSafetensors model.safetensors model.embed_tokens.weight

import Formats

let arguments = CommandLine.arguments
guard arguments.count == 3 else { fatalError("give a file and a tensor name") }

// Opening checks the whole header; no weights are read.
let file = try SafetensorsFile(path: arguments[1], access: .pread)
for tensor in file.tensors {
  print(tensor.name, tensor.elementType.rawValue, tensor.shape)
}

// A slice along the first dimension is a range of bytes; only those are read.
let tensor = try file.tensor(arguments[2])
let range = try tensor.byteRange(ofRows: 0..<2)
var bytes = [UInt8](repeating: 0, count: range.count)
try bytes.withUnsafeMutableBytes { try file.read(tensor.name, bytes: range, into: $0) }
print("the first two rows are \(bytes.count) bytes")
