import Formats
import Workflows

/// Where a command's words go: results to standard output, everything else to standard error.
struct Console {
  /// Whether the result is one JSON object.
  let isJSON: Bool
  /// Handlers that show notes and progress on standard error, or nothing with `--quiet`.
  let events: WorkflowEvents

  init(_ options: CommonOptions) {
    isJSON = options.json
    let bars = ProgressBars()
    events =
      options.quiet ? WorkflowEvents() : WorkflowEvents(note: bars.note, progress: bars.update)
  }

  /// Prints the result, once: the object with `--json`, else the text.
  func result(_ json: @autoclosure () -> JSON, text: () -> String) throws {
    let printed = isJSON ? json().serialized(indent: 2) : text()
    try StandardOutput.write(printed.hasSuffix("\n") ? printed : printed + "\n")
  }

  /// Prints a part of a text result as soon as it is there.
  func stream(_ text: String) throws { try StandardOutput.write(text) }
}
