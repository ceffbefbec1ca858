import Formats
import Models
import Numerics

/// What a model remembers of a text, as a safetensors file: the text is read once, for any number of
/// continuations. The text's last token is still to be read.
struct SavedMemory {
  /// The last token of the text.
  let lastToken: Int32
  /// Tokens before it.
  let position: Int
  private let tensors: [String: Tensor]

  private static let keys = (
    model: "herd.model", token: "herd.last_token", position: "herd.position", sum: "herd.checksum"
  )

  /// Writes what `generator` remembers; `path` appears whole or not at all.
  static func write(
    _ generator: TextGenerator, lastToken: Int32, of folder: ModelFolder, to path: String,
    in context: Context
  ) throws {
    var (contents, sums): ([String: [UInt8]], [String: String]) = ([:], [:])
    var declarations: [TensorDeclaration] = []
    for (name, tensor) in generator.memories {
      let bytes = [UInt8](unsafeUninitializedCapacity: tensor.byteCount) { buffer, count in
        context.readBytes(tensor, into: UnsafeMutableRawBufferPointer(buffer))
        count = tensor.byteCount
      }
      declarations.append(
        TensorDeclaration(
          name: name, elementType: tensor.dtype.elementType, shape: tensor.shape))
      sums[name] = bytes.withUnsafeBytes { Checksum.of($0).hexadecimal }
      contents[name] = bytes
    }
    let header = try SafetensorsHeader(
      declarations,
      metadata: [
        keys.model: try fingerprint(of: folder), keys.token: "\(lastToken)",
        keys.position: "\(generator.position)", keys.sum: checksum(of: sums),
      ])
    var file = header.encoded()
    for tensor in header.tensors { file += contents[tensor.name] ?? [] }
    try Files.write(file, to: path)
  }

  /// Reads a file that ``write(_:lastToken:of:to:in:)`` wrote for the same model.
  init(_ path: String, of folder: ModelFolder, in context: Context) throws {
    let file = try SafetensorsFile(path: path, access: .pread)
    let metadata = file.metadata
    guard let model = metadata[Self.keys.model], let sum = metadata[Self.keys.sum],
      let token = metadata[Self.keys.token].flatMap(Int32.init), token >= 0,
      Int(token) < folder.configuration.vocabularySize,
      let position = metadata[Self.keys.position].flatMap(Int.init), position >= 0
    else {
      throw WorkflowError(
        "\(path): no memory of a text; give a file that herd generate --save-state wrote")
    }
    guard try model == Self.fingerprint(of: folder) else {
      throw WorkflowError(
        "\(path): written with another model than \(folder.path); use that one, or read the text anew"
      )
    }
    var (tensors, sums): ([String: Tensor], [String: String]) = ([:], [:])
    for tensor in file.tensors {
      let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: tensor.byteCount, alignment: 64)
      defer { bytes.deallocate() }
      try file.read(tensor.name, into: bytes)
      sums[tensor.name] = Checksum.of(UnsafeRawBufferPointer(bytes)).hexadecimal
      guard let dtype = DType(tensor.elementType) else { continue }
      tensors[tensor.name] = context.tensor(
        bytes: UnsafeRawBufferPointer(bytes), tensor.shape, dtype)
    }
    guard sum == Self.checksum(of: sums) else {
      throw WorkflowError("\(path): not the bytes that were written; read the text anew")
    }
    (self.lastToken, self.position, self.tensors) = (token, position, tensors)
  }

  /// Makes `generator`, which has read nothing, remember the text.
  func restore(_ generator: TextGenerator, from path: String) throws {
    do {
      try generator.restore(tensors, position: position)
    } catch {
      throw WorkflowError("\(path): \(error)")
    }
  }

  private static func checksum(of sums: [String: String]) -> String {
    let lines = sums.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    return Checksum.of(lines.joined(separator: "\n")).hexadecimal
  }

  /// Tells a model from others, also of the same shape: its configuration, the shapes of all tensors,
  /// and the elements of the smallest ones, up to a megabyte.
  private static func fingerprint(of folder: ModelFolder) throws -> String {
    let tensors = folder.checkpoint.tensors.sorted {
      ($0.byteCount, $0.name) < ($1.byteCount, $1.name)
    }
    var lines = [JSON.object(folder.config.object).serialized()]
    var left = 1 << 20
    for (index, tensor) in tensors.enumerated() {
      var line = "\(tensor.name) \(tensor.elementType.rawValue) \(tensor.shape)"
      left -= tensor.byteCount
      if index == 0 || left >= 0 {
        line +=
          try " "
          + folder.checkpoint.withBytes(of: tensor.name) {
            Checksum.of(UnsafeRawBufferPointer($0)).hexadecimal
          }
      }
      lines.append(line)
    }
    return Checksum.of(lines.joined(separator: "\n")).hexadecimal
  }
}
