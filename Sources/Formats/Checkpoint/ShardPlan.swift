/// How tensors are spread over files, and each file's layout.
struct ShardPlan {
  /// The file names, one per header.
  let names: [String]
  let headers: [SafetensorsHeader]

  /// Fills shards in the order declared; a tensor larger than `limit` has a shard to itself.
  init(
    _ tensors: [TensorDeclaration], limit: Int, metadata: [String: String]
  ) throws(SafetensorsError) {
    // Lays out all tensors as one file first: this finds duplicates and sizes that overflow.
    let whole = try SafetensorsHeader(tensors, metadata: metadata)
    guard whole.dataCount > limit else {
      names = ["model.safetensors"]
      headers = [whole]
      return
    }
    var groups: [[TensorDeclaration]] = [[]]
    var bytes = 0
    for tensor in tensors {
      guard case .bytes(let count) = TensorSize(tensor.elementType, tensor.shape) else { continue }
      if bytes > 0, count > limit - bytes {
        groups.append([])
        bytes = 0
      }
      groups[groups.count - 1].append(tensor)
      // A single tensor may exceed the limit; capping keeps `limit - bytes` from going negative.
      bytes = min(bytes + count, limit)
    }
    var headers: [SafetensorsHeader] = []
    for group in groups { headers.append(try SafetensorsHeader(group, metadata: metadata)) }
    self.headers = headers
    names =
      groups.count == 1
      ? ["model.safetensors"]
      : groups.indices.map {
        "model-\(Self.padded($0 + 1))-of-\(Self.padded(groups.count)).safetensors"
      }
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}
