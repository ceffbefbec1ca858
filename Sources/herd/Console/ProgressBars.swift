import Reports
import Workflows

/// Progress of pieces of work that follow one another, on standard error.
final class ProgressBars {
  private var label = ""
  private var display: ProgressDisplay?

  /// Shows how far a piece of work is; a new label begins a new bar.
  func update(_ progress: WorkflowProgress) {
    if progress.label != label {
      label = progress.label
      display = ProgressDisplay(
        ProgressMeter(
          label: label, total: progress.total, unit: progress.unit, initial: progress.done))
    }
    guard progress.done < progress.total else {
      display?.finish(done: progress.done, note: progress.detail)
      (label, display) = ("", nil)
      return
    }
    display?.update(done: progress.done, note: progress.detail)
  }

  /// Writes a line above the bar.
  func note(_ line: String) {
    if let display {
      display.message(line)
    } else {
      StandardError.write("\(line)\n")
    }
  }
}
