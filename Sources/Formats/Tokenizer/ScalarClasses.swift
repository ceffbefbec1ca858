/// Classes of Unicode scalars as the split patterns of byte-level tokenizers see them.
///
/// One byte per scalar up to the last assigned letter or number; everything above is `other`.
final class ScalarClasses: @unchecked Sendable {
  static let other: UInt8 = 0
  static let letter: UInt8 = 1
  static let number: UInt8 = 2
  static let space: UInt8 = 4
  /// Set together with `space` on U+000A and U+000D.
  static let newline: UInt8 = 8

  static let shared = ScalarClasses()

  // Written once in `init`, read only afterwards: that is what makes the class Sendable.
  let table: UnsafePointer<UInt8>
  let count: Int

  private init() {
    let all = [ScalarRanges.letters, ScalarRanges.numbers, ScalarRanges.spaces]
    count = Int(all.map { $0.last ?? 0 }.max() ?? 0) + 1
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
    bytes.initialize(repeating: Self.other, count: count)
    for (ranges, value) in zip(all, [Self.letter, Self.number, Self.space]) {
      for pair in stride(from: 0, to: ranges.count, by: 2) {
        let first = Int(ranges[pair])
        (bytes + first).update(repeating: value, count: Int(ranges[pair + 1]) - first + 1)
      }
    }
    bytes[0x0A] |= Self.newline
    bytes[0x0D] |= Self.newline
    table = UnsafePointer(bytes)
  }

  deinit { table.deallocate() }
}

/// Valid UTF-8 with the class of the scalar at any boundary.
struct ClassifiedText {
  let bytes: UnsafePointer<UInt8>
  let count: Int
  private let table: UnsafePointer<UInt8>
  private let tableCount: Int

  init(_ bytes: UnsafePointer<UInt8>, count: Int) {
    self.bytes = bytes
    self.count = count
    table = ScalarClasses.shared.table
    tableCount = ScalarClasses.shared.count
  }

  /// The class of the scalar that starts at `index`, which is below `count`, and where it ends.
  @inline(__always)
  func scalarClass(at index: Int) -> (value: UInt8, end: Int) {
    let first = bytes[index]
    if first < 0x80 { return (table[Int(first)], index + 1) }
    let second = UInt32(bytes[index + 1] & 0x3F)
    var scalar: UInt32
    let end: Int
    if first < 0xE0 {
      scalar = UInt32(first & 0x1F) << 6 | second
      end = index + 2
    } else {
      let third = UInt32(bytes[index + 2] & 0x3F)
      if first < 0xF0 {
        scalar = UInt32(first & 0x0F) << 12 | second << 6 | third
        end = index + 3
      } else {
        scalar = UInt32(first & 0x07) << 18 | second << 12 | third << 6
        scalar |= UInt32(bytes[index + 3] & 0x3F)
        end = index + 4
      }
    }
    return (Int(scalar) < tableCount ? table[Int(scalar)] : ScalarClasses.other, end)
  }

  /// The end of the run of scalars of exactly this class that starts at `index`.
  @inline(__always)
  func endOfRun(of value: UInt8, from index: Int) -> Int {
    var index = index
    while index < count {
      let (found, end) = scalarClass(at: index)
      if found != value { break }
      index = end
    }
    return index
  }
}
