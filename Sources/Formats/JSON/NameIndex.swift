import Glibc

/// A hash table from names to positions in a list of names that the caller keeps.
///
/// Names are compared by their UTF-8 bytes. `Dictionary<String, Int>` would merge canonically
/// equivalent names, which formats treat as different. The standard library's seeded hash guards
/// against chosen collisions.
struct NameIndex: Sendable {
  /// Each used slot holds the name's hash in its high half and its position plus one in the low.
  private var slots: [UInt64]
  private var count = 0

  init(minimumCapacity: Int = 16) {
    var capacity = 32
    while capacity < minimumCapacity * 2 { capacity *= 2 }
    slots = [UInt64](repeating: 0, count: capacity)
  }

  /// The position of `name`, or `nil`.
  func find(_ name: String, names: (Int) -> String) -> Int? {
    let hash = Self.hash(name)
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] != 0 {
      if slots[slot] >> 32 == hash {
        let position = Int(slots[slot] & 0xffff_ffff) - 1
        if haveSameBytes(names(position), name) { return position }
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  /// Adds `name` at `position`, or returns the position it already has.
  mutating func insert(_ name: String, at position: Int, names: (Int) -> String) -> Int? {
    if (count + 1) * 2 > slots.count { grow() }
    let hash = Self.hash(name)
    var slot = Int(hash) & (slots.count - 1)
    while slots[slot] != 0 {
      if slots[slot] >> 32 == hash {
        let present = Int(slots[slot] & 0xffff_ffff) - 1
        if haveSameBytes(names(present), name) { return present }
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = hash << 32 | UInt64(position + 1)
    count += 1
    return nil
  }

  private mutating func grow() {
    var larger = [UInt64](repeating: 0, count: slots.count * 2)
    for entry in slots where entry != 0 {
      var slot = Int(entry >> 32) & (larger.count - 1)
      while larger[slot] != 0 { slot = (slot + 1) & (larger.count - 1) }
      larger[slot] = entry
    }
    slots = larger
  }

  private static func hash(_ name: String) -> UInt64 {
    var hasher = Hasher()
    var name = name
    name.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    return UInt64(truncatingIfNeeded: hasher.finalize()) & 0xffff_ffff
  }
}

/// Whether two strings have the same UTF-8 bytes.
func haveSameBytes(_ left: String, _ right: String) -> Bool {
  let length = left.utf8.count
  guard length == right.utf8.count else { return false }
  var (left, right) = (left, right)
  return left.withUTF8 { a in
    right.withUTF8 { b in
      guard let a = a.baseAddress, let b = b.baseAddress else { return true }
      return memcmp(a, b, length) == 0
    }
  }
}
