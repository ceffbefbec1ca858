import ArgumentParser
import Glibc
import Workflows

/// The `herd` command: parses arguments, calls a workflow, prints.
///
/// A subcommand is one file under `Commands/`: a ``HerdCommand`` listed here.
@main
struct Herd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "herd",
    abstract: "Turn a dense LLaMA checkpoint into a sparse Mixture-of-Experts model.",
    discussion: """
      EXAMPLE:
        herd inspect Checkpoints/tiny-llama
        herd run Pipelines/quickstart/pipeline.yaml
      """,
    version: ToolkitVersion.current,
    subcommands: [
      DoctorCommand.self, InspectCommand.self, TokenizeCommand.self, EvaluateCommand.self,
      ConvertCommand.self, LinearizeCommand.self, VerifyCommand.self, ExportCommand.self,
      DensifyCommand.self, DiffCommand.self, TrainCommand.self, PretrainCommand.self,
      RunCommand.self, SweepCommand.self, ScalingCommand.self, ReportCommand.self,
      GenerateCommand.self,
      StrategiesCommand.self, RoutersCommand.self, TryCommand.self,
    ]
  )

  static func main() {
    // A reader that goes away ends the program without a word, as for other filters; a parent may
    // have left the signal ignored.
    signal(SIGPIPE, SIG_DFL)
    ProcessorTuning.apply()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      Glibc.exit(Failure(error, of: Herd.self).report())
    }
  }
}
