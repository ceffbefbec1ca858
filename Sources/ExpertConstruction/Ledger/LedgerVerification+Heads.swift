import Formats

extension LedgerVerification {
  /// The digest of a tensor put together from the first copy of each head; what is wrong where the
  /// other copies are not the same.
  static func digest(
    of entry: ByteLedger.Entry, copied heads: HeadCopies, in checkpoint: Checkpoint
  ) throws -> String {
    let tensor = try checkpoint.tensor(entry.name)
    guard heads.divides(entry.shape), tensor.elementType == entry.elementType,
      tensor.shape == [entry.shape[0] * heads.times, entry.shape[1]]
    else { return "of another size" }
    let size = heads.rows * entry.shape[1] * entry.elementType.bitWidth / 8
    let (first, other) = (ByteBuffer(size), ByteBuffer(size))
    var hasher = TensorHasher()
    for head in 0..<entry.shape[0] / heads.rows {
      for copy in 0..<heads.times {
        let place = (head * heads.times + copy) * size
        let target = (copy == 0 ? first : other).slice(0..<size)
        try checkpoint.read(entry.name, bytes: place..<place + size, into: target)
        if copy > 0, !target.elementsEqual(first.slice(0..<size)) { return "of copies that differ" }
      }
      hasher.update(UnsafeRawBufferPointer(first.slice(0..<size)))
    }
    return hasher.hexadecimal()
  }

  /// The new tensors that are not what the seed gives, by name.
  static func differing(_ creation: ByteLedger.Creation, in checkpoint: Checkpoint) throws
    -> [String]
  {
    try creation.tensors.filter { created in
      let wanted = created.parameter.tensor
      let tensor = try checkpoint.tensor(wanted.name)
      guard tensor.shape == wanted.shape, tensor.elementType == wanted.elementType else {
        return true
      }
      let buffer = ByteBuffer(tensor.byteCount)
      let bytes = buffer.slice(0..<tensor.byteCount)
      try checkpoint.read(wanted.name, bytes: 0..<tensor.byteCount, into: bytes)
      var hasher = TensorHasher()
      hasher.update(UnsafeRawBufferPointer(bytes))
      return hasher.hexadecimal() != created.sha256
        || created.parameter.withBytes(seed: creation.seed) { !$0.elementsEqual(bytes) }
    }.map(\.parameter.tensor.name)
  }
}
