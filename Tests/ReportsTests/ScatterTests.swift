import Testing

@testable import Reports

@Suite("ReportsTests: scatter")
struct ScatterTests {
  @Test("the front holds what nothing beats, best x first")
  func front() {
    let points = [
      (x: 1.0, y: 5.0), (x: 2, y: 3), (x: 3, y: 4), (x: 4, y: 1), (x: 4, y: 2), (x: .nan, y: 0),
    ]
    #expect(ParetoFront.indices(of: points, x: .lessIsBetter) == [0, 1, 3])
    #expect(ParetoFront.indices(of: points, x: .moreIsBetter) == [3])
    #expect(ParetoFront.indices(of: [(1, 1), (1, 1)], x: .lessIsBetter) == [0, 1])
    #expect(ParetoFront.indices(of: [], x: .moreIsBetter).isEmpty)
  }

  @Test("the front of random points is what a definition by pairs gives")
  func frontProperty() {
    var state: UInt64 = 9
    func draw() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 60)
    }
    for _ in 0..<100 {
      let points = (0..<12).map { _ in (x: draw(), y: draw()) }
      let front = ParetoFront.indices(of: points, x: .moreIsBetter)
      for index in points.indices {
        let isBeaten = points.contains {
          $0.x >= points[index].x && $0.y <= points[index].y
            && ($0.x > points[index].x || $0.y < points[index].y)
        }
        #expect(front.contains(index) == !isBeaten)
      }
      #expect(zip(front, front.dropFirst()).allSatisfy { points[$0].x >= points[$1].x })
    }
  }

  private func chart(_ name: String = "a") -> ScatterChart {
    ScatterChart(
      title: name, xLabel: name, yLabel: name,
      series: [
        .init(
          name, [.init(name, x: 4, y: 2, spread: 1.9...2.1), .init("b", x: 64, y: 1)],
          isJoined: true),
        .init("c", [.init("", x: 16, y: 1.5), .init("gone", x: -1, y: .nan)]),
      ], baselines: [(name, 1.2), ("none", .nan)], front: .lessIsBetter, spacing: .powersOfTwo)
  }

  @Test("points, spread, line, baseline, front and ticks are drawn")
  func drawn() {
    let svg = chart().svg()
    #expect(MarkupChecker.problem(in: svg) == nil)
    func count(_ text: String) -> Int {
      svg.split(separator: text, omittingEmptySubsequences: false).count - 1
    }
    #expect(count("<circle") == 3, "what is not finite is left out")
    #expect(count("<polyline") == 2, "one joined series and the front")
    #expect(count("stroke-width=\"5\"") == 1)
    #expect(count("stroke-dasharray") == 1)
    for tick in ["4", "8", "16", "32", "64"] { #expect(svg.contains(">\(tick)</text>")) }
    #expect(!svg.contains("nan"))
  }

  @Test("hostile names and no points at all")
  func hostile() {
    let svg = chart("<script>&\"'").svg()
    #expect(MarkupChecker.problem(in: svg) == nil && !svg.contains("<script"))
    let empty = ScatterChart(title: "t", xLabel: "", yLabel: "", series: [])
    #expect(MarkupChecker.problem(in: empty.svg()) == nil)
  }

  @Test("labels do not lie on one another")
  func labels() {
    let points = (0..<6).map { ScatterChart.Point("label \($0)", x: 1, y: 1 + 0.001 * Double($0)) }
    let svg = ScatterChart(
      title: "t", xLabel: "", yLabel: "",
      series: [.init("s", points + [.init("far", x: 2, y: 3)])]
    ).svg()
    var heights: [Double] = []
    for line in svg.split(separator: "\n") where line.contains(">label ") {
      let tail = line.split(separator: " y=\"").last ?? ""
      heights.append(Double(tail.prefix { $0 != "\"" }) ?? 0)
    }
    heights.sort()
    #expect(heights.count == 6)
    for (above, below) in zip(heights, heights.dropFirst()) { #expect(below - above > 9) }
  }
}

@Suite("ReportsTests: logarithmic axes")
struct LogarithmicAxisTests {
  private func labels(_ values: [Double]) -> [String] {
    let spacing = AxisSpacing.logarithmic
    return spacing.ticks(AxisScale(covering: values.map(spacing.place))).map(\.label)
  }

  @Test("ticks suit the length of the axis")
  func ticks() {
    #expect(labels([1e-7, 1e-4]) == ["1e-7", "1e-6", "1e-5", "1e-4"])
    #expect(labels([1, 40]) == ["1", "10", "100"])
    #expect(labels([1, 15]) == ["1", "2", "5", "10"])
    #expect(labels([2.5, 5.9]) == ["2", "3", "4", "5", "6"])
    for values in [[1e-9, 1e6], [3, 3.1], [2, 2], [0.5, 700], [1e-30, 1e30]] {
      let ticks = labels(values)
      #expect((2...12).contains(ticks.count), "\(values): \(ticks)")
    }
  }

  @Test("equal factors take equal space on both axes, and lines of fits are drawn")
  func places() throws {
    let svg = ScatterChart(
      title: "t", xLabel: "x", yLabel: "y",
      series: [
        .init(
          "s", [1.0, 10, 100].map { .init("", x: $0, y: 2 * $0) } + [.init("", x: 0, y: 1)],
          curve: [(1, 2), (100, 200), (-1, 5)])
      ], spacing: .logarithmic, ySpacing: .logarithmic
    ).svg()
    #expect(MarkupChecker.problem(in: svg) == nil && !svg.contains("nan"))
    let circles = svg.split(separator: "\n").filter { $0.contains("<circle") }
    #expect(circles.count == 3, "zero has no place")
    func numbers(_ key: String) -> [Double] {
      circles.compactMap { line in
        line.split(separator: " \(key)=\"").dropFirst().first
          .flatMap { Double($0.prefix { $0 != "\"" }) }
      }
    }
    for places in [numbers("cx"), numbers("cy")] {
      try #require(places.count == 3)
      #expect(abs((places[1] - places[0]) - (places[2] - places[1])) < 0.21)
    }
    #expect(svg.contains("<polyline"))
    #expect(svg.contains("<title>s: 1, 2</title>"))
  }

  @Test("numbers as digits and a power of ten")
  func scientific() {
    for (value, text) in [
      (2.5e-7, "2.5e-7"), (1e6, "1e6"), (0, "0"), (-1234, "-1.23e3"), (9.999e-5, "1e-4"),
      (1, "1e0"), (.infinity, "inf"), (1e300, "1e300"),
    ] {
      #expect(Decimals.scientific(value) == text)
    }
  }
}
