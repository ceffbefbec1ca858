import Glibc

/// Progress on standard error: a line that renews itself on a terminal, plain lines elsewhere.
///
/// No colours are used, so `NO_COLOR` needs no case.
final class ProgressLine {
  private let unit: String
  private let isQuiet: Bool
  private let isTerminal = isatty(STDERR_FILENO) == 1
  private let clock = ContinuousClock()
  private var label = ""
  private var start: ContinuousClock.Instant
  private var lastPrinted: ContinuousClock.Instant?

  /// - Parameter unit: What is counted, in the plural.
  init(unit: String, isQuiet: Bool) {
    self.unit = unit
    self.isQuiet = isQuiet
    start = clock.now
  }

  /// Shows that `done` of `total` are done; a new label starts a new line and a new clock.
  ///
  /// The first units of a label are timed from the end of the label before.
  func update(_ label: String, _ done: Int, of total: Int) {
    guard !isQuiet, total > 0 else { return }
    if label != self.label {
      start = lastUpdate ?? start
      self.label = label
      lastPrinted = nil
    }
    let now = clock.now
    lastUpdate = now
    let interval: Duration = isTerminal ? .milliseconds(100) : .seconds(10)
    let isDue = lastPrinted.map { now - $0 >= interval } ?? isTerminal
    guard isDue || done == total else { return }
    lastPrinted = now
    let line = text(done, total, elapsed: (now - start) / .seconds(1))
    if isTerminal {
      StandardError.write("\r\(line)\u{1B}[K" + (done == total ? "\n" : ""))
    } else {
      StandardError.write(line + "\n")
    }
  }

  private var lastUpdate: ContinuousClock.Instant?

  private func text(_ done: Int, _ total: Int, elapsed: Double) -> String {
    let rate = elapsed > 0 ? Double(done) / elapsed : 0
    var line = "\(label): "
    if isTerminal {
      let filled = 20 * done / total
      line += "[" + String(repeating: "=", count: filled)
      line += String(repeating: " ", count: 20 - filled) + "] "
    }
    line += "\(done)/\(total) \(unit), \(Quantity.fixed(rate, 1))/s"
    return done == total
      ? line + ", \(time(elapsed))" : line + ", \(time(Double(total - done) / rate)) left"
  }

  private func time(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "?" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}
