import ArgumentParser
import Workflows

/// What commands take that make many runs in one folder.
struct GridOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Stop cleanly before so many minutes are over; run again to go on.", valueName: "minutes"))
  var timeLimit: Double?

  @Option(
    help: ArgumentHelp(
      "Cells that are done side by side, for models too small for a GPU; a CPU's threads are divided "
        + "among them.", valueName: "n"))
  var jobs = 1

  @Flag(help: "Print cells, tokens, memory and time; write nothing.")
  var dryRun = false

  /// Estimates or does the work, and prints what came of it.
  func run(_ work: some GridWork, _ console: Console) throws {
    if dryRun {
      let estimate = try work.estimate()
      try console.result(estimate.json) { estimate.text }
    } else {
      let result = try work.execute()
      try console.result(result.json) { result.text }
    }
  }

  func validate() throws {
    guard timeLimit.map({ $0 > 0 && $0.isFinite }) ?? true else {
      throw ValidationError("--time-limit takes minutes above 0")
    }
    guard (1...64).contains(jobs) else {
      throw ValidationError("--jobs takes a number from 1 to 64, not \(jobs)")
    }
  }
}
