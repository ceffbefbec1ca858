/// Shows progress on standard error: a bar redrawn in place on a terminal, otherwise one plain
/// line at most every `interval`.
///
/// A class, because two copies would redraw the same line; not for use from several threads.
public final class ProgressDisplay {
  private let meter: ProgressMeter
  private let stream: TerminalStream
  private let interval: Duration
  private let started: ContinuousClock.Instant
  private var lastShown: ContinuousClock.Instant?
  private var isLineOpen = false

  /// - Parameters:
  ///   - interval: seconds between plain lines; a terminal is redrawn ten times a second.
  public init(
    _ meter: ProgressMeter, on stream: TerminalStream = .standardError(), interval: Double = 10
  ) {
    self.meter = meter
    self.stream = stream
    self.interval = stream.isTerminal ? .milliseconds(100) : .seconds(interval)
    self.started = ContinuousClock.now
  }

  /// Shows the state if the last one is old enough.
  public func update(done: Int, note: String = "") {
    let now = ContinuousClock.now
    if let lastShown, now - lastShown < interval { return }
    lastShown = now
    show(done: done, at: now, note: note)
  }

  /// Writes a line of its own, leaving the bar below it.
  public func message(_ text: String) {
    clear()
    stream.write(text + "\n")
    lastShown = nil
  }

  /// Shows the last state and ends the line.
  public func finish(done: Int, note: String = "") {
    show(done: done, at: ContinuousClock.now, note: note)
    if isLineOpen { stream.write("\n") }
    isLineOpen = false
  }

  private func show(done: Int, at now: ContinuousClock.Instant, note: String) {
    let seconds = (now - started).seconds
    guard stream.isTerminal else {
      stream.write(meter.text(done: done, seconds: seconds, note: note) + "\n")
      return
    }
    // One column stays free: some terminals wrap as soon as the last one is filled.
    let line = meter.bar(done: done, seconds: seconds, note: note, columns: stream.columns - 1)
    stream.write("\r\(line)\u{1B}[K")
    isLineOpen = true
  }

  private func clear() {
    if isLineOpen { stream.write("\r\u{1B}[K") }
    isLineOpen = false
  }
}

extension Duration {
  /// The duration in seconds.
  fileprivate var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
