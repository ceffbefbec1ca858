import Testing

@testable import herd

@Suite struct HelpTests {
  static let commands = Herd.configuration.subcommands.compactMap {
    $0.configuration.commandName
  }

  @Test func rootListsEveryCommand() throws {
    let help = try HerdRun("--help")
    #expect(help.status == 0)
    #expect(help.error.isEmpty)
    for command in Self.commands { #expect(help.output.contains("\n  \(command) ")) }
    for command in ["doctor", "inspect", "tokenize", "evaluate", "generate"] {
      #expect(Self.commands.contains(command))
    }
  }

  @Test(arguments: commands)
  func helpHasAnExampleAndTheCommonOptions(_ command: String) throws {
    let help = try HerdRun(command, "--help")
    #expect(help.status == 0)
    #expect(help.output.contains("EXAMPLE:\n  "))
    #expect(help.output.contains("herd \(command)"))
    for option in ["--json", "--threads", "--seed"] { #expect(help.output.contains(option)) }
  }

  @Test func version() throws {
    let run = try HerdRun("--version")
    #expect(run.status == 0)
    #expect(run.output.wholeMatch(of: /\d+\.\d+\.\d+\n/) != nil)
  }

  @Test(arguments: [
    ["nonsense"], ["inspect"], ["inspect", "x", "--nonsense"], ["evaluate", "x"],
    ["evaluate", "x", "--data", "y", "--window", "0"], ["generate", "x"],
    ["generate", "x", "--chat", "a", "--prompt", "b"], ["doctor", "--threads", "-1"],
    ["generate", "x", "--chat", "a", "--temperature", "nan"],
    ["generate", "x", "--chat", "a", "--chat-format", "morse"], ["doctor", "--seed", "x"],
  ])
  func wrongUsageExits64(_ arguments: [String]) throws {
    let run = try HerdRun(list: arguments)
    #expect(run.status == 64)
    #expect(run.output.isEmpty)
    #expect(run.error.hasPrefix("herd: error: "))
  }
}
