import Testing

@testable import Reports

@Suite("ReportsTests: charts")
struct ChartTests {
  @Test("ticks are round and cover the data")
  func ticks() {
    #expect(AxisScale(covering: [1.3, 7.2]).ticks == [0, 2, 4, 6, 8])
    #expect(
      AxisScale(covering: [0, 1]).ticks.map { Decimals.fixed($0, places: 1) }
        == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
    #expect(AxisScale(covering: [3.2], includesZero: true).ticks.first == 0)
    #expect(AxisScale(covering: [-3, 4]).ticks.contains(0))
    #expect(AxisScale(covering: [1.2, 2.3]).label(1.25) == "1.25")
    #expect(AxisScale(covering: [0, 20_000]).label(5000) == "5k")
  }

  @Test("any data give at least two and at most a dozen ticks around all values")
  func tickProperties() {
    var state: UInt64 = 1
    func draw() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(1 << 53)
    }
    for _ in 0..<500 {
      let size = [1e-6, 0.01, 1, 50, 1e6, 1e12][Int(draw() * 6)]
      let values = (0..<3).map { _ in (draw() - 0.4) * size }
      let scale = AxisScale(covering: values, includesZero: draw() < 0.5)
      #expect((2...12).contains(scale.ticks.count), "\(values)")
      for value in values { #expect((-1e-6...1 + 1e-6).contains(scale.position(value))) }
    }
  }

  @Test("empty, constant and non-finite data still make an axis")
  func degenerate() {
    for values in [[], [Double.nan], [5], [0], [-2, -2], [Double.infinity, 1]] {
      let scale = AxisScale(covering: values)
      #expect(scale.upper > scale.lower && scale.ticks.count >= 2)
    }
  }

  @Test("a small heat map, element by element")
  func golden() {
    let map = HeatMap(
      title: "Load", rowLabel: "layer", columnLabel: "expert", rows: ["0"], columns: ["0", "1"],
      values: [[0.25, 0.75]])
    #expect(
      map.svg() == """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 126" width="640" height="126" \
        role="img" aria-label="Load" font-family="system-ui, sans-serif" font-size="12" \
        fill="currentColor">
        <text x="74" y="18" text-anchor="start" font-size="14" font-weight="600">Load</text>
        <text x="74" y="38" text-anchor="start">expert</text>
        <text x="66" y="38" text-anchor="end">layer</text>
        <text x="102" y="54" text-anchor="middle" font-size="10">0</text>
        <text x="158" y="54" text-anchor="middle" font-size="10">1</text>
        <text x="66" y="77" text-anchor="end" font-size="10">0</text>
        <rect x="74.5" y="60.5" width="55" height="25" fill="#3b82c4" fill-opacity="0.357">\
        <title>layer 0, expert 0: 0.25</title></rect>
        <text x="102" y="77" text-anchor="middle" font-size="10">0.25</text>
        <rect x="130.5" y="60.5" width="55" height="25" fill="#3b82c4" fill-opacity="0.99">\
        <title>layer 0, expert 1: 0.75</title></rect>
        <text x="158" y="77" text-anchor="middle" font-size="10">0.75</text>
        <text x="74" y="110" text-anchor="start" font-size="10">faintest 0, strongest 0.75</text>
        </svg>

        """)
  }

  @Test("charts are well-formed and escape hostile names")
  func wellFormed() {
    let hostile = "<script>alert(\"x\")</script> & 'more'\u{1}"
    var saw: [(x: Double, y: Double)] = []
    for step in 0..<5000 {
      let y = Double(step % 7)
      saw.append((Double(step), step % 9 == 0 ? .nan : y))
    }
    let line = LineChart(
      title: hostile, xLabel: hostile, yLabel: hostile,
      series: [.init(hostile, saw), .init("one", [(1, 2)]), .init("none", [])])
    let bars = BarChart(
      title: hostile, yLabel: hostile, groups: [hostile, "b"],
      series: [(hostile, [1.5, .nan]), ("x", [-2]), ("y", [])])
    let map = HeatMap(
      title: hostile, rowLabel: hostile, columnLabel: hostile, rows: [hostile, "1", "2"],
      columns: (0..<64).map(String.init), values: [[1, .nan], []])
    for svg in [line.svg(), bars.svg(), map.svg()] {
      #expect(MarkupChecker.problem(in: svg) == nil)
      #expect(!svg.contains("<script") && !svg.contains("nan") && !svg.contains("inf"))
      #expect(!svg.unicodeScalars.contains("\u{1}"))
    }
  }

  @Test("a legend that is too long goes on in a new row, and the plot makes room")
  func longLegend() {
    func chart(_ name: String) -> String {
      LineChart(
        title: "t", xLabel: "", yLabel: "",
        series: (0..<4).map { .init("\(name) \($0)", [(0, 1), (1, 2)]) }
      ).svg()
    }
    #expect(chart("short").contains("y=\"40\" text-anchor=\"start\">short 3"))
    let long = chart("a name of some thirty characters")
    #expect(long.contains("y=\"40\" text-anchor=\"start\">a name of some thirty characters 1"))
    #expect(long.contains("y=\"58\" text-anchor=\"start\">a name of some thirty characters 2"))
  }

  @Test("rows with long names get the room they need; whole numbers get whole ticks")
  func room() {
    let map = HeatMap(
      title: "t", rowLabel: "", columnLabel: "", rows: ["11 conversation"], columns: ["0"],
      values: [[1]])
    #expect(map.svg().contains("x=\"93\" y=\"77\" text-anchor=\"end\" font-size=\"10\">11 conv"))
    let layers = LineChart(
      title: "t", xLabel: "", yLabel: "", series: [.init("a", [(0, 1), (1, 2), (3, 1)])])
    #expect(layers.svg().contains(">3</text>") && !layers.svg().contains(">0.5</text>"))
  }

  @Test("a gap splits a curve; many points are thinned")
  func curves() {
    let gap = LineChart(
      title: "t", xLabel: "", yLabel: "",
      series: [.init("a", [(0, 1), (1, 2), (2, .nan), (3, 1), (4, 2)])])
    #expect(gap.svg().split(separator: "<polyline").count == 3)
    var points: [(x: Double, y: Double)] = []
    for step in 0..<100_000 { points.append((Double(step), 1)) }
    let long = LineChart(title: "t", xLabel: "", yLabel: "", series: [.init("a", points)])
    #expect(long.svg().utf8.count < 10_000)
  }

  @Test("bars rise from zero by their value")
  func bars() {
    let svg = BarChart(title: "t", yLabel: "", groups: ["g"], series: [("s", [2]), ("r", [1])])
      .svg()
    var heights: [Double] = []
    for line in svg.split(separator: "\n") where line.contains("<title>") {
      let tail = line.split(separator: "height=\"").last ?? ""
      heights.append(Double(tail.prefix { $0 != "\"" }) ?? 0)
    }
    #expect(heights.count == 2 && abs(heights[0] - 2 * heights[1]) < 0.2)
  }
}
