/// The members of a JSON object, in the order of the source.
///
/// Keys are told apart by their UTF-8 bytes. Look-up takes constant time also in objects of
/// hundreds of thousands of members.
public struct JSONObject: Sendable {
  /// One key and its value.
  public typealias Element = (key: String, value: JSON)

  /// A struct, not a tuple: arrays of tuples are destroyed through run-time metadata, slowly.
  private struct Entry: Sendable {
    let key: String
    var value: JSON
  }

  private var entries: [Entry] = []
  /// Built only for objects with more members than a scan handles well.
  private var index: NameIndex?

  private static let largestScan = 8

  /// An object without members.
  public init() {}

  /// The number of members.
  public var count: Int { entries.count }

  /// Whether there are no members.
  public var isEmpty: Bool { entries.isEmpty }

  /// The keys, in order.
  public var keys: [String] { entries.map(\.key) }

  /// The value of `key`. Setting a new key appends it; setting `nil` removes the member.
  public subscript(key: String) -> JSON? {
    get {
      guard let position = position(of: key) else { return nil }
      return entries[position].value
    }
    set {
      switch (position(of: key), newValue) {
      case (let position?, let value?): entries[position].value = value
      case (nil, let value?): append(key, value)
      case (let position?, nil):
        entries.remove(at: position)
        rebuildIndex()
      case (nil, nil): break
      }
    }
  }

  /// Whether there is a member named `key`.
  public func contains(_ key: String) -> Bool { position(of: key) != nil }

  /// Appends a member unless its key is taken, and says whether it did.
  mutating func appendIfNew(_ key: String, _ value: JSON) -> Bool {
    guard index != nil else {
      guard position(of: key) == nil else { return false }
      append(key, value)
      return true
    }
    let taken = index?.insert(key, at: entries.count) { entries[$0].key }
    guard taken == nil else { return false }
    entries.append(Entry(key: key, value: value))
    return true
  }

  private func position(of key: String) -> Int? {
    if let index { return index.find(key) { entries[$0].key } }
    return entries.firstIndex { haveSameBytes($0.key, key) }
  }

  private mutating func append(_ key: String, _ value: JSON) {
    if entries.isEmpty { entries.reserveCapacity(4) }
    entries.append(Entry(key: key, value: value))
    if index != nil {
      _ = index?.insert(key, at: entries.count - 1) { entries[$0].key }
    } else if entries.count > Self.largestScan {
      rebuildIndex()
    }
  }

  private mutating func rebuildIndex() {
    guard entries.count > Self.largestScan else {
      index = nil
      return
    }
    var rebuilt = NameIndex(minimumCapacity: entries.count)
    for position in entries.indices {
      _ = rebuilt.insert(entries[position].key, at: position) { entries[$0].key }
    }
    index = rebuilt
  }
}

extension JSONObject: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { entries.count }
  public subscript(position: Int) -> Element {
    (entries[position].key, entries[position].value)
  }
}

extension JSONObject: Equatable {
  /// Whether both have the same members in the same order.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count
      && zip(left.entries, right.entries).allSatisfy {
        haveSameBytes($0.key, $1.key) && $0.value == $1.value
      }
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  /// The members in the order written; a repeated key keeps its first place and last value.
  public init(dictionaryLiteral elements: (String, JSON)...) {
    for (key, value) in elements { self[key] = value }
  }
}
