import ArgumentParser
import Glibc

/// How the program ends when a command did not run to its end.
enum Failure {
  /// Help or a version was asked for: text for standard output, status 0.
  case information(String)
  /// The arguments are wrong: status 64.
  case usage(String)
  /// The command failed: one line, status 1.
  case command(String)

  init(_ error: any Error, of root: any ParsableCommand.Type) {
    switch root.exitCode(for: error) {
    case .success: self = .information(root.fullMessage(for: error))
    case .validationFailure:
      let message = root.fullMessage(for: error)
      let prefix = "Error: "
      self = .usage(message.hasPrefix(prefix) ? String(message.dropFirst(prefix.count)) : message)
    default: self = .command(Self.oneLine("\(error)"))
    }
  }

  /// Prints what is to be said and returns the exit status.
  func report() -> Int32 {
    switch self {
    case .information(let text):
      print(text)
      return EXIT_SUCCESS
    case .usage(let message):
      StandardError.write("herd: error: \(message)\n")
      return ExitCode.validationFailure.rawValue
    case .command(let message):
      StandardError.write("herd: error: \(message)\n")
      return EXIT_FAILURE
    }
  }

  private static func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}
