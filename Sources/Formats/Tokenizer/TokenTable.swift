/// The bytes of every token of the model's vocabulary and the way back from bytes to id.
struct TokenTable: Sendable {
  /// Token bytes end to end; token `id` is at `offsets[id]..<offsets[id + 1]`.
  private var bytes: [UInt8] = []
  private var offsets: [UInt32] = [0]
  private var present: [Bool] = []
  private var slots: [Int32]
  private let hash = ByteHash()
  /// The number of tokens; ids may have gaps.
  private(set) var count = 0

  /// - Parameter tokens: the bytes of the token with each id, `nil` for an id not in use.
  ///   Two equal tokens are an error that the caller reports: the second one's id is thrown.
  init(_ tokens: [[UInt8]?]) throws(DuplicateToken) {
    var capacity = 16
    while capacity < tokens.count * 2 { capacity *= 2 }
    slots = [Int32](repeating: -1, count: capacity)
    present.reserveCapacity(tokens.count)
    offsets.reserveCapacity(tokens.count + 1)
    for token in tokens {
      bytes.append(contentsOf: token ?? [])
      offsets.append(UInt32(bytes.count))
      present.append(token != nil)
    }
    for (id, token) in tokens.enumerated() where token != nil {
      let slot = slot(of: token ?? [])
      guard slots[slot] < 0 else { throw DuplicateToken(id: id) }
      slots[slot] = Int32(id)
      count += 1
    }
  }

  struct DuplicateToken: Error { let id: Int }

  /// One above the largest id.
  var idLimit: Int { present.count }

  func contains(_ id: Int) -> Bool { present.indices.contains(id) && present[id] }

  /// The bytes of a token; empty for an id not in use.
  func bytes(of id: Int) -> ArraySlice<UInt8> {
    guard present.indices.contains(id) else { return [] }
    return bytes[Int(offsets[id])..<Int(offsets[id + 1])]
  }

  func id(of token: [UInt8]) -> Int32? {
    let id = slots[slot(of: token)]
    return id < 0 ? nil : id
  }

  func id(of token: UnsafePointer<UInt8>, count: Int) -> Int32? {
    let id = slots[slot(of: token, count: count)]
    return id < 0 ? nil : id
  }

  private func slot(of token: [UInt8]) -> Int {
    token.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else {
        var none: UInt8 = 0
        return slot(of: &none, count: 0)
      }
      return slot(of: base, count: buffer.count)
    }
  }

  /// The slot that holds the token, or the free one where it would go.
  private func slot(of token: UnsafePointer<UInt8>, count: Int) -> Int {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash(token, count: count)) & mask
    while slots[slot] >= 0 {
      let start = Int(offsets[Int(slots[slot])])
      let length = Int(offsets[Int(slots[slot]) + 1]) - start
      if length == count, matches(token, at: start, count: count) { return slot }
      slot = (slot + 1) & mask
    }
    return slot
  }

  private func matches(_ token: UnsafePointer<UInt8>, at start: Int, count: Int) -> Bool {
    bytes.withUnsafeBufferPointer { stored in
      for index in 0..<count where stored[start + index] != token[index] { return false }
      return true
    }
  }
}
