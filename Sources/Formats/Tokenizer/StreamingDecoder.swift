/// Decodes ids one by one and gives out text as soon as its last character is complete.
///
/// The concatenation of what `append` and `finish` return is what `Tokenizer.decode` returns.
public struct StreamingDecoder: Sendable {
  private let tokenizer: Tokenizer
  private let skipsSpecial: Bool
  private var pending: [UInt8] = []
  private var isFirst = true
  private var stripsLeft: Int
  /// Bytes of a run of byte tokens, which is valid or replaced as a whole.
  private var run: [UInt8] = []

  /// - Parameter skipSpecial: whether special tokens are left out.
  public init(_ tokenizer: Tokenizer, skipSpecial: Bool = true) {
    self.tokenizer = tokenizer
    skipsSpecial = skipSpecial
    stripsLeft = if case .marks(let plan) = tokenizer.decoding { plan.stripCount } else { 0 }
  }

  /// Takes one id and returns the text that is now complete, often empty in the middle of a
  /// character. Ids outside the vocabulary produce nothing.
  public mutating func append(_ id: Int32) -> String {
    take(id)
    return completeText()
  }

  /// Returns what is left at the end; a character cut short becomes U+FFFD.
  public mutating func finish() -> String {
    endRun()
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  mutating func take(_ id: Int32) {
    if skipsSpecial, tokenizer.isSpecial(id) { return }
    switch tokenizer.decoding {
    case .byteLevel:
      pending.append(contentsOf: tokenizer.byteLevelBytes(of: id))
    case .spaced:
      guard let token = tokenizer.token(of: id) else { return }
      if !isFirst { pending.append(0x20) }
      isFirst = false
      pending.append(contentsOf: token.utf8)
    case .marks(let plan):
      guard let token = tokenizer.token(of: id) else { return }
      take(Array(token.utf8), plan)
      isFirst = false
    }
  }

  private mutating func take(_ token: [UInt8], _ plan: MarkDecoding) {
    if plan.decodesBytes, let byte = Self.byte(of: token) {
      run.append(byte)
      return
    }
    endRun()
    let replacement = plan.dropsFirstMarks && isFirst ? [] : plan.replacement
    emit(token.replacing(plan.pattern, with: replacement))
  }

  private mutating func emit(_ bytes: [UInt8]) {
    guard stripsLeft > 0, case .marks(let plan) = tokenizer.decoding else {
      pending.append(contentsOf: bytes)
      return
    }
    let kept = bytes.drop { byte in
      guard stripsLeft > 0, byte == plan.stripped else { return false }
      stripsLeft -= 1
      return true
    }
    if !kept.isEmpty { stripsLeft = 0 }
    pending.append(contentsOf: kept)
  }

  private mutating func endRun() {
    guard !run.isEmpty else { return }
    defer { run = [] }
    if String(validating: run, as: UTF8.self) != nil {
      emit(run)
    } else {
      for _ in run { emit(Array("\u{FFFD}".utf8)) }
    }
  }

  /// The byte of a token spelled `<0x0A>`.
  private static func byte(of token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else {
      return nil
    }
    let digits = String(decoding: token[3..<5], as: UTF8.self)
    guard digits.utf8.first != UInt8(ascii: "-") else { return nil }
    return UInt8(digits, radix: 16)
  }

  /// Moves out everything up to the last character that may still be incomplete.
  private mutating func completeText() -> String {
    let kept = Self.incompleteSuffix(of: pending)
    let text = String(decoding: pending.dropLast(kept), as: UTF8.self)
    pending = Array(pending.suffix(kept))
    return text
  }

  /// How many bytes at the end are the beginning of a character that more bytes can complete.
  static func incompleteSuffix(of bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let first = bytes[bytes.count - length]
      if first & 0xC0 == 0x80 { continue }
      let needed: Int
      switch first {
      case 0xC2...0xDF: needed = 2
      case 0xE0...0xEF: needed = 3
      case 0xF0...0xF4: needed = 4
      default: return 0
      }
      guard length < needed else { return 0 }
      guard length > 1 else { return 1 }
      let second = bytes[bytes.count - length + 1]
      let allowed: ClosedRange<UInt8> =
        switch first {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
      return allowed.contains(second) ? length : 0
    }
    return 0
  }
}
