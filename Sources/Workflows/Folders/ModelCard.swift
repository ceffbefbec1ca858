/// The README of a checkpoint that herd wrote: where it comes from and how it was made.
struct ModelCard {
  /// The heading.
  var title: String
  /// Name and value, in order.
  var facts: [(name: String, value: String)]

  /// The card as Markdown.
  var markdown: String {
    let rows = facts.map { "| \($0.name) | \($0.value.replacingPipes) |" }
    return """
      # \(title)

      Written by herd \(ToolkitVersion.current).

      | | |
      |---|---|
      \(rows.joined(separator: "\n"))

      """
  }
}

extension String {
  fileprivate var replacingPipes: String { map { $0 == "|" ? "/" : String($0) }.joined() }
}
