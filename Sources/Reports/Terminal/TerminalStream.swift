import Glibc

/// One of the two standard output streams, with what it can show.
///
/// Progress and logs go to standard error, results to standard output.
public struct TerminalStream: Sendable {
  /// The file descriptor: 1 for standard output, 2 for standard error.
  public let descriptor: Int32
  /// Whether a person is watching: the stream is a terminal.
  public let isTerminal: Bool
  /// Whether escape sequences for colour and weight are used.
  public let usesStyle: Bool
  /// The width in columns; 80 when unknown.
  public let columns: Int

  /// Standard error as it is now.
  public static func standardError() -> TerminalStream { TerminalStream(descriptor: 2) }

  /// Standard output as it is now.
  public static func standardOutput() -> TerminalStream { TerminalStream(descriptor: 1) }

  /// Looks at the stream and at `NO_COLOR` and `TERM`; a non-empty `NO_COLOR` switches style off.
  public init(descriptor: Int32) {
    let isTerminal = isatty(descriptor) == 1
    let dumb = Self.environment("TERM").map { $0 == "dumb" } ?? true
    let noColour = Self.environment("NO_COLOR").map { !$0.isEmpty } ?? false
    var size = winsize()
    let known = isTerminal && ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    self.init(
      descriptor: descriptor, isTerminal: isTerminal && !dumb,
      usesStyle: isTerminal && !dumb && !noColour, columns: known ? Int(size.ws_col) : 80)
  }

  /// A stream with given abilities.
  public init(descriptor: Int32, isTerminal: Bool, usesStyle: Bool, columns: Int) {
    self.descriptor = descriptor
    self.isTerminal = isTerminal
    self.usesStyle = usesStyle
    self.columns = columns
  }

  /// Writes the text at once; a stream that was closed is not an error.
  public func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return }
        done += count
      }
    }
  }

  private static func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
  }
}
