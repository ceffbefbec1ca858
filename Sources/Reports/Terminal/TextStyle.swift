/// Weight and colour of text on a terminal (ECMA-48 "select graphic rendition").
public enum TextStyle: String, CaseIterable, Sendable {
  case bold = "1"
  case dim = "2"
  case red = "31"
  case green = "32"
  case yellow = "33"
  case blue = "34"
  case cyan = "36"

  /// The text in this style where the stream shows styles, else the text alone.
  public func callAsFunction(_ text: String, on stream: TerminalStream) -> String {
    stream.usesStyle ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
  }
}
