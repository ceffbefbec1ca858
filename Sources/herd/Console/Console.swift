import Formats

/// Where a command's words go: results to standard output, everything else to standard error.
struct Console {
  /// Whether the result is one JSON object.
  let isJSON: Bool
  /// Whether logs and progress are left out.
  let isQuiet: Bool

  init(_ options: CommonOptions) {
    isJSON = options.json
    isQuiet = options.quiet
  }

  /// Prints the result, once: the object with `--json`, else the text.
  func result(_ json: @autoclosure () -> JSON, text: () -> String) throws {
    let printed = isJSON ? json().serialized(indent: 2) : text()
    try StandardOutput.write(printed.hasSuffix("\n") ? printed : printed + "\n")
  }

  /// Prints a part of a text result as soon as it is there.
  func stream(_ text: String) throws { try StandardOutput.write(text) }

  /// Progress of a countable work on standard error.
  func progress(_ unit: String) -> ProgressLine { ProgressLine(unit: unit, isQuiet: isQuiet) }

  /// Says something about the work on standard error.
  func log(_ line: String) {
    if !isQuiet { StandardError.write("\(line)\n") }
  }
}
