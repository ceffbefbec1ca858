private let apostrophe: UInt8 = 0x27
private let blank: UInt8 = 0x20

extension ClassifiedText {
  /// One match of the GPT-2 pattern.
  func endOfGPT2Piece(from start: Int) -> Int {
    if bytes[start] == apostrophe {
      let end = endOfContraction(from: start, foldingCase: false)
      if end > start { return end }
    }
    var (value, end) = scalarClass(at: start)
    if bytes[start] == blank, end < count {
      let next = scalarClass(at: end)
      if next.value & ScalarClasses.space == 0 { (value, end) = next }
    }
    if value & ScalarClasses.space == 0 { return endOfRun(of: value, from: end) }
    return endOfSpaces(from: start, stoppingAfterNewline: false)
  }

  /// One match of the LLaMA-3 (`digits` 3) or Qwen2 (`digits` 1) pattern.
  func endOfGroupedPiece(from start: Int, digits: Int) -> Int {
    if bytes[start] == apostrophe {
      let end = endOfContraction(from: start, foldingCase: true)
      if end > start { return end }
    }
    let (value, end) = scalarClass(at: start)
    if value == ScalarClasses.letter { return endOfRun(of: ScalarClasses.letter, from: end) }
    if value == ScalarClasses.number {
      var end = end
      for _ in 1..<max(digits, 1) where end < count {
        let next = scalarClass(at: end)
        if next.value != ScalarClasses.number { break }
        end = next.end
      }
      return end
    }
    var next: (value: UInt8, end: Int) = (ScalarClasses.space, end)
    if end < count { next = scalarClass(at: end) }
    if value & ScalarClasses.newline == 0, next.value == ScalarClasses.letter {
      return endOfRun(of: ScalarClasses.letter, from: next.end)
    }
    if value == ScalarClasses.other {
      return endOfPunctuation(from: end)
    }
    if bytes[start] == blank, next.value == ScalarClasses.other {
      return endOfPunctuation(from: next.end)
    }
    return endOfSpaces(from: start, stoppingAfterNewline: true)
  }

  private func endOfPunctuation(from index: Int) -> Int {
    var index = endOfRun(of: ScalarClasses.other, from: index)
    while index < count, bytes[index] == 0x0A || bytes[index] == 0x0D { index += 1 }
    return index
  }

  /// White space from `start`: up to the last newline where the pattern has `\s*[\r\n]+`, else
  /// `\s+(?!\S)|\s+`, which leaves one white-space scalar to the word that follows a longer run.
  private func endOfSpaces(from start: Int, stoppingAfterNewline: Bool) -> Int {
    var index = start
    var lastStart = start
    var afterNewline = start
    while index < count {
      let (value, end) = scalarClass(at: index)
      if value & ScalarClasses.space == 0 { break }
      lastStart = index
      index = end
      if value & ScalarClasses.newline != 0 { afterNewline = end }
    }
    if stoppingAfterNewline, afterNewline > start { return afterNewline }
    if index == count || lastStart == start { return index }
    return lastStart
  }

  /// The end of 's 't 'm 'd 're 've 'll, or `start` where there is none.
  ///
  /// With case folding U+017F (long s) matches s, as Unicode simple folding has it.
  private func endOfContraction(from start: Int, foldingCase: Bool) -> Int {
    guard start + 1 < count else { return start }
    let fold: UInt8 = foldingCase ? 0x20 : 0
    switch bytes[start + 1] | fold {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      guard start + 2 < count, bytes[start + 2] | fold == UInt8(ascii: "e") else { return start }
      return start + 3
    case UInt8(ascii: "l"):
      guard start + 2 < count, bytes[start + 2] | fold == UInt8(ascii: "l") else { return start }
      return start + 3
    default:
      guard foldingCase, start + 2 < count, bytes[start + 1] == 0xC5, bytes[start + 2] == 0xBF
      else { return start }
      return start + 3
    }
  }
}
