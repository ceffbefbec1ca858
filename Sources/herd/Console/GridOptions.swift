import ArgumentParser

/// What commands take that make many runs in one folder.
struct GridOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Stop cleanly before so many minutes are over; run again to go on.", valueName: "minutes"))
  var timeLimit: Double?

  @Flag(help: "Print cells, tokens, memory and time; write nothing.")
  var dryRun = false

  func validate() throws {
    guard timeLimit.map({ $0 > 0 && $0.isFinite }) ?? true else {
      throw ValidationError("--time-limit takes minutes above 0")
    }
  }
}
