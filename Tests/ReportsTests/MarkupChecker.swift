/// Checks that markup is balanced: every tag closed in order, attributes quoted, no bare `<` or `&`.
enum MarkupChecker {
  /// What is wrong with the text; nil when nothing is.
  static func problem(in text: String) -> String? {
    var open: [String] = []
    var rest = text[...]
    while let start = rest.firstIndex(where: { $0 == "<" || $0 == "&" }) {
      rest = rest[start...]
      if rest.first == "&" {
        let entity = rest.prefix(8)
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"]
        guard known.contains(where: { entity.hasPrefix($0) }) else { return "bare & at \(entity)" }
        rest = rest.dropFirst()
        continue
      }
      guard let end = rest.firstIndex(of: ">") else { return "unclosed tag \(rest.prefix(20))" }
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("!") { continue }
      if tag.filter({ $0 == "\"" }).count % 2 != 0 || tag.contains("<") { return "bad tag \(tag)" }
      let name = String(tag.drop { $0 == "/" }.prefix { $0.isLetter || $0.isNumber })
      if name.isEmpty { return "no name in \(tag)" }
      if tag.hasPrefix("/") {
        guard open.popLast() == name else { return "</\(name)> closes nothing" }
      } else if !tag.hasSuffix("/") && name != "meta" {
        open.append(name)
      }
    }
    return open.isEmpty ? nil : "left open: \(open)"
  }
}
