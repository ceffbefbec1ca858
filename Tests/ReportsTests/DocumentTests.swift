import Testing

@testable import Reports

@Suite("ReportsTests: document")
struct DocumentTests {
  private let hostile = "</style><img src=x onerror=alert(1)> \"&' | `*_[x]"

  private func document() -> ReportDocument {
    var document = ReportDocument(title: "Run \(hostile)", subtitle: hostile)
    document.add(
      "Results \(hostile)",
      [
        .prose(hostile), .code("herd run `x`\n```\n" + hostile),
        .table(
          ReportTable(
            caption: hostile, header: ["domain", "loss"], rows: [["math", "1.3"], [hostile]])),
        .facts([("sha256 \(hostile)", hostile)]),
        .chart(BarChart(title: "Loss", yLabel: "nats", groups: ["g"], series: [("s", [1])])),
      ])
    document.add("Empty", [])
    return document
  }

  @Test("the page is well-formed, self-contained and escaped")
  func html() {
    let html = document().html()
    #expect(MarkupChecker.problem(in: html) == nil)
    #expect(html.hasPrefix("<!DOCTYPE html>"))
    #expect(!html.contains("<img") && !html.contains("<script"))
    let outside = html.split(separator: "\"").filter { $0.hasPrefix("http") }
    #expect(outside.allSatisfy { $0 == "http://www.w3.org/2000/svg" }, "no outside files")
    #expect(html.contains("<svg") && html.contains("<td>math</td><td>1.3</td>"))
  }

  @Test("Markdown holds the same content, literally")
  func markdown() {
    let text = document().markdown()
    #expect(text.hasPrefix("# Run &lt;/style&gt;"))
    #expect(text.contains("\n## Empty\n"))
    #expect(text.contains("| domain | loss |\n| --- | ---: |\n| math | 1.3 |\n"))
    #expect(text.contains("\\| \\`\\*\\_\\[x\\]"))
    #expect(text.contains("\n````\nherd run"), "a longer fence than the text holds")
    #expect(text.contains("Chart in the HTML report: Loss"))
    let parts = text.split(separator: "````")
    #expect(parts.count == 3 && !parts[0].contains("<img") && !parts[2].contains("<img"))
  }

  @Test("one table, three spellings")
  func table() {
    var table = ReportTable(header: ["model", "loss"])
    table.add(["dense", "1.37", "surplus"])
    table.add(["moe"])
    #expect(table.markdown() == "| model | loss |\n| --- | ---: |\n| dense | 1.37 |\n| moe |  |\n")
    #expect(table.text.lines() == ["model  loss", "-----  ----", "dense  1.37", "moe"])
  }

  @Test("several columns of text")
  func textColumns() {
    let table = ReportTable(header: ["a", "b", "c"], textColumns: 2, rows: [["x", "y", "1.5"]])
    #expect(table.markdown() == "| a | b | c |\n| --- | --- | ---: |\n| x | y | 1.5 |\n")
    #expect(table.text.lines() == ["a  b    c", "-  -  ---", "x  y  1.5"])
    var document = ReportDocument(title: "t")
    document.add("s", [.table(table)])
    #expect(document.html().contains("<td>x</td><td class=\"text\">y</td><td>1.5</td>"))
    #expect(MarkupChecker.problem(in: document.html()) == nil)
  }

  @Test("the checker itself finds faults")
  func checker() {
    #expect(MarkupChecker.problem(in: "<p>a &amp; b<br/></p>") == nil)
    for bad in ["<p>", "</p>", "<p><b></p></b>", "a & b", "<p class=\"x></p>"] {
      #expect(MarkupChecker.problem(in: bad) != nil)
    }
  }
}
