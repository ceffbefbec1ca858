/// Turns a count of finished work and the time passed into rate, time left and a line of text.
public struct ProgressMeter: Sendable {
  /// What is being done, such as `stage 1`.
  public let label: String
  /// The work in all, in `unit`s; nil when unknown.
  public let total: Int?
  /// What is counted, such as `tokens`.
  public let unit: String
  /// Work done before this process began, as after a resume; it does not count into the rate.
  public let initial: Int

  public init(label: String, total: Int?, unit: String, initial: Int = 0) {
    self.label = label
    self.total = total
    self.unit = unit
    self.initial = initial
  }

  /// Units per second since the start; nil before anything was done.
  public func rate(done: Int, seconds: Double) -> Double? {
    done > initial && seconds > 0 ? Double(done - initial) / seconds : nil
  }

  /// Seconds until `total` at the present rate.
  public func secondsLeft(done: Int, seconds: Double) -> Double? {
    guard let total, let rate = rate(done: done, seconds: seconds) else { return nil }
    return Double(max(0, total - done)) / rate
  }

  /// `stage 1   1200/4000 tokens  30%  850 tokens/s  3m 17s left  loss 2.31`
  public func text(done: Int, seconds: Double, note: String = "") -> String {
    var parts = [label]
    if let total {
      parts.append("\(done)/\(total) \(unit)")
      parts.append("\(total > 0 ? min(100, done * 100 / total) : 100)%")
    } else {
      parts.append("\(done) \(unit)")
    }
    parts += tail(done: done, seconds: seconds, note: note)
    return parts.joined(separator: "  ")
  }

  /// The same with a bar, at most `columns` wide; what does not fit is cut.
  public func bar(done: Int, seconds: Double, note: String = "", columns: Int) -> String {
    guard let total, total > 0 else {
      return String(text(done: done, seconds: seconds, note: note).prefix(max(0, columns)))
    }
    let share = min(1, max(0, Double(done) / Double(total)))
    let percent = TextTable.padded("\(Int(share * 100))%", 4, .trailing)
    let tail = self.tail(done: done, seconds: seconds, note: note).joined(separator: "  ")
    let room = columns - label.count - percent.count - tail.count - 5
    let width = min(30, max(0, room))
    let filled = Int(share * Double(width) + 0.5)
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    let parts = [label, bar, percent, tail].filter { !$0.isEmpty }
    return String(parts.joined(separator: " ").prefix(max(0, columns)))
  }

  private func tail(done: Int, seconds: Double, note: String) -> [String] {
    var parts: [String] = []
    if let rate = rate(done: done, seconds: seconds) {
      parts.append("\(Decimals.short(rate)) \(unit)/s")
    }
    if let left = secondsLeft(done: done, seconds: seconds), left > 0 {
      parts.append("\(Durations.text(left)) left")
    }
    if !note.isEmpty { parts.append(note) }
    return parts
  }
}
