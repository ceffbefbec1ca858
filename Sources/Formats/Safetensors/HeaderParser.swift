/// Turns the JSON of a safetensors header into checked descriptions.
struct HeaderParser {
  let file: String

  func parse(
    _ json: UnsafeRawBufferPointer
  ) throws(SafetensorsError) -> ([TensorDescription], [String: String]) {
    let root = try object(json)
    var metadata: [String: String] = [:]
    var tensors: [TensorDescription] = []
    tensors.reserveCapacity(root.count)
    for (name, value) in root {
      if haveSameBytes(name, "__metadata__") {
        metadata = try self.metadata(value)
      } else {
        tensors.append(try tensor(name, value))
      }
    }
    tensors.sort {
      ($0.byteRange.lowerBound, $0.byteRange.upperBound)
        < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
    }
    try checkLayout(tensors)
    return (tensors, metadata)
  }

  private func object(_ json: UnsafeRawBufferPointer) throws(SafetensorsError) -> JSONObject {
    let error: SafetensorsError
    guard json.first == UInt8(ascii: "{") else {
      throw isUTF8(json) ? SafetensorsError(file, .invalidHeaderStart) : notUTF8
    }
    do throws(JSONError) {
      if case .object(let root) = try JSON.parse(json) { return root }
      error = malformed("not an object; save the file again with a conforming writer")
    } catch let cause {
      error = isUTF8(json) ? malformed("\(cause)") : notUTF8
    }
    throw error
  }

  private var notUTF8: SafetensorsError { SafetensorsError(file, .invalidHeader) }

  private func isUTF8(_ json: UnsafeRawBufferPointer) -> Bool {
    String(validating: json, as: UTF8.self) != nil
  }

  private func metadata(_ value: JSON) throws(SafetensorsError) -> [String: String] {
    if value.isNull { return [:] }
    guard let object = value.object else {
      throw malformed("__metadata__ is \(value.kindDescription); make it an object of strings")
    }
    var metadata: [String: String] = [:]
    for (key, value) in object {
      guard let text = value.string else {
        throw malformed(
          "__metadata__ \(quoted(key)) is \(value.kindDescription); make it a string")
      }
      metadata[key] = text
    }
    return metadata
  }

  private func tensor(
    _ name: String, _ value: JSON
  ) throws(SafetensorsError) -> TensorDescription {
    guard let info = value.object else {
      throw malformed(
        "tensor \(quoted(name)) is \(value.kindDescription); make it an object with dtype, shape "
          + "and data_offsets")
    }
    guard let typeName = info["dtype"]?.string, let type = ElementType(rawValue: typeName) else {
      let found = info["dtype"].map { quoted($0.string ?? $0.kindDescription) } ?? "missing"
      throw malformed(
        "dtype of tensor \(quoted(name)) is \(found); use a type of the format, as BF16 or F32")
    }
    let shape = try sizes("shape", info, name)
    let offsets = try sizes("data_offsets", info, name)
    guard offsets.count == 2 else {
      throw malformed(
        "data_offsets of tensor \(quoted(name)) has \(offsets.count) numbers; give begin and end")
    }
    guard offsets[0] <= offsets[1] else {
      throw SafetensorsError(
        file,
        .invalidOffset(
          tensor: name, begin: offsets[0], end: offsets[1], expectedBegin: offsets[0]))
    }
    return TensorDescription(
      name: name, elementType: type, shape: shape, byteRange: offsets[0]..<offsets[1])
  }

  private func sizes(
    _ key: String, _ info: JSONObject, _ name: String
  ) throws(SafetensorsError) -> [Int] {
    guard let elements = info[key]?.array else {
      throw malformed("tensor \(quoted(name)) has no list \(key); add it")
    }
    var sizes: [Int] = []
    sizes.reserveCapacity(elements.count)
    for element in elements {
      guard case .number(let number) = element, number.isInteger,
        number.lexeme.utf8.first != UInt8(ascii: "-")
      else {
        throw malformed("\(key) of tensor \(quoted(name)) must hold integers from 0 on; correct it")
      }
      guard let size = number.int else {
        throw SafetensorsError(file, .validationOverflow(tensor: name))
      }
      sizes.append(size)
    }
    return sizes
  }

  private func checkLayout(_ tensors: [TensorDescription]) throws(SafetensorsError) {
    var expectedBegin = 0
    for tensor in tensors {
      let (begin, end) = (tensor.byteRange.lowerBound, tensor.byteRange.upperBound)
      guard begin == expectedBegin else {
        throw SafetensorsError(
          file,
          .invalidOffset(
            tensor: tensor.name, begin: begin, end: end, expectedBegin: expectedBegin))
      }
      expectedBegin = end
      switch TensorSize(tensor.elementType, tensor.shape) {
      case .overflow: throw SafetensorsError(file, .validationOverflow(tensor: tensor.name))
      case .misaligned: throw SafetensorsError(file, .misalignedSlice(tensor: tensor.name))
      case .bytes(let needed):
        guard needed == tensor.byteCount else {
          throw SafetensorsError(
            file,
            .tensorInvalidInfo(tensor: tensor.name, needed: needed, spanned: tensor.byteCount))
        }
      }
    }
  }

  private func malformed(_ detail: String) -> SafetensorsError {
    SafetensorsError(file, .invalidHeaderDeserialization(detail: detail))
  }
}
