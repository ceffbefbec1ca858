import ArgumentParser
import Glibc

/// How the program ends when a command did not run to its end.
enum Failure {
  /// Help or a version was asked for: text for standard output, status 0.
  case information(String)
  /// The arguments are wrong: status 64.
  case usage(String)
  /// The command failed: one line, and a status that is 1 unless the command has its own.
  case command(String, status: Int32 = EXIT_FAILURE)
  /// The command has said all there is to say.
  case silent(status: Int32)

  init(_ error: any Error, of root: any ParsableCommand.Type) {
    if let error = error as? StatusError {
      self =
        error.message.map { .command(Self.oneLine($0), status: error.status) }
        ?? .silent(status: error.status)
      return
    }
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
    case .command(let message, let status):
      StandardError.write("herd: error: \(message)\n")
      return status
    case .silent(let status): return status
    }
  }

  private static func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).joined(separator: " ")
  }
}

/// Ends a command with an exit status of its own.
struct StatusError: Error {
  /// The exit status.
  let status: Int32
  /// What went wrong; `nil` when the output says it.
  var message: String?
}
