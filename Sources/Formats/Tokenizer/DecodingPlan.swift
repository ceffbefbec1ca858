/// How ids become text again.
enum DecodingPlan: Equatable, Sendable {
  /// Every token is bytes of the text.
  case byteLevel
  /// SentencePiece: marks become spaces, byte tokens become bytes.
  case marks(MarkDecoding)
  /// The file names no decoder: tokens are joined by spaces.
  case spaced
}

/// Decoding of a vocabulary with marks for spaces.
struct MarkDecoding: Equatable, Sendable {
  /// What is replaced in every token that is not a byte token, usually U+2581 by a space.
  var pattern: [UInt8] = []
  var replacement: [UInt8] = []
  /// Whether `<0x0A>` and its like are bytes.
  var decodesBytes = false
  /// Up to so many of these bytes are left out at the start of the text.
  var stripped: UInt8 = 0x20
  var stripCount = 0
  /// Whether the marks of the first token are left out instead of replaced.
  var dropsFirstMarks = false
}
