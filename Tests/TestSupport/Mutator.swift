/// Damages files in ways that parsers trip over; the same seed gives the same damage.
public struct Mutator {
  private var random: SeededGenerator

  public init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  /// `bytes` after one to four random changes.
  public mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
    var result = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      switch Int.random(in: 0..<10, using: &random) {
      case 0: flipBit(&result)
      case 1: replaceByte(&result)
      case 2: truncate(&result)
      case 3: insert(&result)
      case 4: remove(&result)
      case 5: splice(&result)
      case 6, 7: editNumber(&result)
      case 8: editToken(&result)
      default: editLength(&result)
      }
    }
    return result
  }

  private static let numbers = [
    "0", "-0", "-1", "1", "00", "0.0", "1.5", "1e400", "-1e400", "1e", "8.0", "255", "65536",
    "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615",
    "18446744073709551616", "100000000000000000000000000", "1e3", "NaN", "Infinity", "0x10", "",
  ]

  private static let fragments = [
    "{", "}", "[", "]", ",", ":", "\"", "null", "true", "[]", "{}", "\\", "\\u0000", "\\ud800",
    "\\udc00", "\\uD83D\\uDE00", "\u{feff}", " ", "\n", "\0", "../", "/", "F4", "BF16", "BOOL",
    "__metadata__", "\"a\":1,", "[[[[[[[[", "{\"a\":{\"a\":",
  ]

  private mutating func position(in bytes: [UInt8]) -> Int {
    // The front holds the header, where damage says most.
    let span = Bool.random(using: &random) ? bytes.count : min(bytes.count, 64)
    return Int.random(in: 0...span, using: &random)
  }

  private mutating func range(in bytes: [UInt8], longest: Int) -> Range<Int> {
    let start = position(in: bytes)
    return start..<min(bytes.count, start + Int.random(in: 0...longest, using: &random))
  }

  private mutating func flipBit(_ bytes: inout [UInt8]) {
    let index = position(in: bytes)
    if index < bytes.count { bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random) }
  }

  private mutating func replaceByte(_ bytes: inout [UInt8]) {
    let index = position(in: bytes)
    if index < bytes.count { bytes[index] = UInt8.random(in: 0...255, using: &random) }
  }

  private mutating func truncate(_ bytes: inout [UInt8]) {
    bytes.removeSubrange(position(in: bytes)...)
  }

  private mutating func insert(_ bytes: inout [UInt8]) {
    let fragment = Self.fragments[Int.random(in: 0..<Self.fragments.count, using: &random)]
    bytes.insert(contentsOf: fragment.utf8, at: position(in: bytes))
  }

  private mutating func remove(_ bytes: inout [UInt8]) {
    bytes.removeSubrange(range(in: bytes, longest: 16))
  }

  private mutating func splice(_ bytes: inout [UInt8]) {
    let copied = Array(bytes[range(in: bytes, longest: 64)])
    bytes.insert(contentsOf: copied, at: position(in: bytes))
  }

  /// Overwrites the first eight bytes with a little-endian length, as safetensors begins.
  private mutating func editLength(_ bytes: inout [UInt8]) {
    guard bytes.count >= 8 else { return }
    let lengths: [UInt64] = [
      0, 1, 2, 8, UInt64(bytes.count), UInt64(bytes.count - 8), 100_000_000, 100_000_001,
      UInt64(Int64.max), .max, .random(in: 0...UInt64(bytes.count), using: &random),
    ]
    var length = lengths[Int.random(in: 0..<lengths.count, using: &random)]
    for index in 0..<8 {
      bytes[index] = UInt8(truncatingIfNeeded: length)
      length >>= 8
    }
  }

  /// Replaces one run of digits by an awkward number.
  private mutating func editNumber(_ bytes: inout [UInt8]) {
    let runs = Self.runs(of: bytes) { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    guard let run = runs.randomElement(using: &random) else { return }
    let number = Self.numbers[Int.random(in: 0..<Self.numbers.count, using: &random)]
    bytes.replaceSubrange(run, with: number.utf8)
  }

  /// Removes, doubles or exchanges text between quotes, commas and brackets.
  private mutating func editToken(_ bytes: inout [UInt8]) {
    let separators = Array("\"{}[],:".utf8)
    let tokens = Self.runs(of: bytes) { !separators.contains($0) }
    guard let first = tokens.randomElement(using: &random),
      let second = tokens.randomElement(using: &random)
    else { return }
    switch Int.random(in: 0..<3, using: &random) {
    case 0: bytes.removeSubrange(first)
    case 1: bytes.insert(contentsOf: Array(bytes[first]), at: first.upperBound)
    default: bytes.replaceSubrange(first, with: Array(bytes[second]))
    }
  }

  private static func runs(
    of bytes: [UInt8], where belongs: (UInt8) -> Bool
  ) -> [Range<Int>] {
    var runs: [Range<Int>] = []
    var start: Int?
    // Long weights say nothing; the text is in front.
    for index in 0..<min(bytes.count, 4096) {
      if belongs(bytes[index]) {
        if start == nil { start = index }
      } else if let begin = start {
        runs.append(begin..<index)
        start = nil
      }
    }
    return runs
  }
}
