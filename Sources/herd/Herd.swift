import ArgumentParser

/// The `herd` command: parses arguments, calls a workflow, prints.
@main
struct Herd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "herd",
    abstract: "Turn a dense LLaMA checkpoint into a sparse Mixture-of-Experts model."
  )
}
