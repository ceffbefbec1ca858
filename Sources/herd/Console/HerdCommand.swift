import ArgumentParser

/// A subcommand: arguments, and a `run` that calls a workflow and prints through a ``Console``.
protocol HerdCommand: ParsableCommand {
  /// The options every command takes: `@OptionGroup var common: CommonOptions`.
  var common: CommonOptions { get }
  /// Does the work.
  func run(_ console: Console) throws
}

extension HerdCommand {
  mutating func run() throws { try run(Console(common)) }
}

extension CommandConfiguration {
  /// The configuration of a subcommand, whose help ends in an example.
  init(_ name: String, _ abstract: String, details: String? = nil, example: String) {
    let example =
      "EXAMPLE:\n"
      + example.split(separator: "\n").map { "  \($0)" }
      .joined(separator: "\n")
    self.init(
      commandName: name, abstract: abstract,
      discussion: [details, example].compactMap { $0 }.joined(separator: "\n\n"))
  }
}
