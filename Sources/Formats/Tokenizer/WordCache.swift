/// The token ids of recently seen pieces of up to 15 bytes: four entries per set, one set per hash.
///
/// Never grows: a full set loses its oldest entry, and when the side store of long results is full
/// the cache starts over.
final class WordCache {
  static let longestKey = 15
  private static let inlineIDs = 3
  private static let ways = 4
  private static let setBits = 13
  private static let storeCapacity = 1 << 17

  /// 32 bytes. The last byte of the key is its length, so that zero bytes in it are told apart.
  private struct Entry {
    var low: UInt64 = 0
    var high: UInt64 = 0
    var count: Int32 = 0
    /// The ids, or the offset of the ids in the store when there are more than three.
    var first: Int32 = 0
    var second: Int32 = 0
    var third: Int32 = 0
  }

  struct Key {
    fileprivate let low: UInt64
    fileprivate let high: UInt64

    @inline(__always)
    init(_ bytes: UnsafePointer<UInt8>, count: Int) {
      low = ByteHash.pack(bytes, count: count)
      high =
        (count > 8 ? ByteHash.pack(bytes + 8, count: count - 8) : 0) | UInt64(count) << 56
    }
  }

  private let entries: UnsafeMutablePointer<Entry>
  private let store: UnsafeMutablePointer<Int32>
  private var stored = 0
  private let hash = ByteHash()

  init() {
    let capacity = Self.ways << Self.setBits
    entries = .allocate(capacity: capacity)
    entries.initialize(repeating: Entry(), count: capacity)
    store = .allocate(capacity: Self.storeCapacity)
  }

  deinit {
    entries.deallocate()
    store.deallocate()
  }

  @inline(__always)
  private func set(of key: Key) -> UnsafeMutablePointer<Entry> {
    let hash = hash(key.low, key.high)
    return entries + (Int(truncatingIfNeeded: hash) & (1 << Self.setBits - 1)) * Self.ways
  }

  /// Appends the ids of the piece and says `true`, or says `false` where it is not known.
  @inline(__always)
  func append(_ key: Key, to ids: inout ContiguousArray<Int32>) -> Bool {
    let set = set(of: key)
    for way in 0..<Self.ways where set[way].low == key.low && set[way].high == key.high {
      let entry = set[way]
      if entry.count > Self.inlineIDs {
        let start = store + Int(entry.first)
        ids.append(contentsOf: UnsafeBufferPointer(start: start, count: Int(entry.count)))
        return true
      }
      if entry.count > 0 { ids.append(entry.first) }
      if entry.count > 1 { ids.append(entry.second) }
      if entry.count > 2 { ids.append(entry.third) }
      return true
    }
    return false
  }

  /// Remembers the ids of a piece that `append` did not know.
  func insert(_ key: Key, _ ids: ArraySlice<Int32>) {
    var entry = Entry(low: key.low, high: key.high, count: Int32(ids.count))
    if ids.count > Self.inlineIDs {
      if stored + ids.count > Self.storeCapacity { removeAll() }
      entry.first = Int32(stored)
      for id in ids {
        store[stored] = id
        stored += 1
      }
    } else {
      var iterator = ids.makeIterator()
      entry.first = iterator.next() ?? 0
      entry.second = iterator.next() ?? 0
      entry.third = iterator.next() ?? 0
    }
    let set = set(of: key)
    for way in stride(from: Self.ways - 1, to: 0, by: -1) { set[way] = set[way - 1] }
    set[0] = entry
  }

  private func removeAll() {
    entries.update(repeating: Entry(), count: Self.ways << Self.setBits)
    stored = 0
  }
}
