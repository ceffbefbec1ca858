import Glibc
import Testing

@testable import Reports

@Suite("ReportsTests: terminal")
struct TerminalTests {
  private let plain = TerminalStream(
    descriptor: 2, isTerminal: false, usesStyle: false, columns: 80)

  @Test("rate and time left count only what this process did")
  func meter() {
    let meter = ProgressMeter(label: "stage 1", total: 1000, unit: "tokens", initial: 400)
    #expect(meter.rate(done: 400, seconds: 3) == nil)
    #expect(meter.rate(done: 600, seconds: 2) == 100)
    #expect(meter.secondsLeft(done: 600, seconds: 2) == 4)
    #expect(
      meter.text(done: 600, seconds: 2, note: "loss 2.31")
        == "stage 1  600/1000 tokens  60%  100 tokens/s  4.0s left  loss 2.31")
  }

  @Test("a bar fills with progress and never exceeds the width", arguments: [0, 10, 24, 60, 120])
  func bar(columns: Int) {
    let meter = ProgressMeter(label: "convert", total: 200, unit: "MB")
    for done in [0, 1, 100, 199, 200, 300] {
      let line = meter.bar(done: done, seconds: 1.5, note: "layer 3", columns: columns)
      #expect(line.count <= columns)
      if columns == 120 {
        #expect(line.contains(String(repeating: "█", count: min(30, done * 30 / 200))))
        #expect(line.contains("\(min(100, done / 2))%"))
      }
    }
  }

  @Test("an unknown or zero total gives no percentage above 100 and no division by zero")
  func noTotal() {
    #expect(ProgressMeter(label: "a", total: nil, unit: "b").text(done: 5, seconds: 0) == "a  5 b")
    let none = ProgressMeter(label: "a", total: 0, unit: "b")
    #expect(none.text(done: 0, seconds: 1) == "a  0/0 b  100%")
    #expect(none.bar(done: 0, seconds: 1, columns: 40) == "a  0/0 b  100%")
  }

  @Test("without a terminal: plain lines, the interval kept, no escapes")
  func plainLines() {
    let output = captured(isTerminal: false) { stream in
      let display = ProgressDisplay(
        ProgressMeter(label: "run", total: 10, unit: "steps"), on: stream, interval: 60)
      for step in 1...9 { display.update(done: step) }
      display.message("saved")
      display.finish(done: 10)
    }
    let lines = output.split(separator: "\n")
    #expect(lines.count == 3)
    #expect(lines[1] == "saved")
    #expect(lines[2].hasPrefix("run  10/10 steps  100%"))
    #expect(!output.contains("\r") && !output.contains("\u{1B}"))
  }

  @Test("on a terminal: one line redrawn, cleared for messages, ended once")
  func redraw() {
    let output = captured(isTerminal: true) { stream in
      let display = ProgressDisplay(
        ProgressMeter(label: "run", total: 10, unit: "steps"), on: stream)
      display.update(done: 1)
      display.message("saved")
      display.finish(done: 10)
    }
    #expect(output.hasPrefix("\rrun "))
    #expect(output.contains("\r\u{1B}[Ksaved\n\rrun "))
    #expect(output.filter { $0 == "\n" }.count == 2 && output.hasSuffix("\n"))
  }

  @Test("style appears only where the stream shows it")
  func style() {
    let styled = TerminalStream(descriptor: 2, isTerminal: true, usesStyle: true, columns: 80)
    #expect(TextStyle.bold("x", on: plain) == "x")
    #expect(TextStyle.bold("x", on: styled) == "\u{1B}[1mx\u{1B}[0m")
  }

  @Test("a pipe is neither terminal nor styled")
  func pipeStream() {
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    let stream = TerminalStream(descriptor: ends[1])
    #expect(!stream.isTerminal && !stream.usesStyle && stream.columns == 80)
    close(ends[0])
    close(ends[1])
  }

  @Test("tables align numbers to the right and leave no trailing space")
  func table() {
    var table = TextTable(
      header: ["domain", "loss", "note"], alignments: [.leading, .trailing, .leading])
    table.add(["conversation", "1.08", "ok"])
    table.add(["math", "12.5"])
    #expect(
      table.text() == """
        domain        loss  note
        ------------  ----  ----
        conversation  1.08  ok
        math          12.5

        """)
  }

  @Test("durations read as people write them")
  func durations() {
    let cases: [(Double, String)] = [
      (0.44, "0.4s"), (9.96, "10s"), (59.6, "1m 00s"), (187, "3m 07s"), (8100, "2h 15m"),
      (273_600, "3d 4h"), (.nan, "?"), (.infinity, "?"), (-1, "?"),
    ]
    for (seconds, text) in cases { #expect(Durations.text(seconds) == text) }
  }

  @Test("decimals round, pad and trim")
  func decimals() {
    #expect(Decimals.fixed(2.5, places: 2) == "2.50")
    #expect(Decimals.fixed(-0.04, places: 1) == "0.0")
    #expect(Decimals.fixed(-1.25, places: 1) == "-1.3")
    #expect(Decimals.fixed(0.005, places: 2) == "0.01")
    #expect(Decimals.fixed(.nan, places: 2) == "nan")
    #expect(Decimals.fixed(7, places: 0) == "7")
    #expect(Decimals.trimmed(3.10, places: 3) == "3.1")
    #expect(Decimals.trimmed(100, places: 0) == "100")
    let shorts: [(Double, String)] = [
      (850, "850"), (12_540, "12.5k"), (3_412_000, "3.41M"), (999_960, "1M"), (0.5237, "0.524"),
      (7.31, "7.31"), (42.37, "42.4"), (0, "0"), (-1500, "-1.5k"),
    ]
    for (value, text) in shorts { #expect(Decimals.short(value) == text) }
  }

  /// What `body` writes to a stream.
  private func captured(isTerminal: Bool, _ body: (TerminalStream) -> Void) -> String {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { return "" }
    body(
      TerminalStream(
        descriptor: ends[1], isTerminal: isTerminal, usesStyle: isTerminal, columns: 80))
    close(ends[1])
    var buffer = [UInt8](repeating: 0, count: 1 << 14)
    let count = read(ends[0], &buffer, buffer.count)
    close(ends[0])
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }
}
