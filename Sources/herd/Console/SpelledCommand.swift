/// The command that this program was started with, as records and reports name it.
enum SpelledCommand {
  /// The program's name and its arguments. Of an absolute path there is only the name, which is all
  /// that means something elsewhere.
  static var current: String {
    (["herd"] + CommandLine.arguments.dropFirst().map(spelled)).joined(separator: " ")
  }

  private static func spelled(_ argument: String) -> String {
    guard argument.hasPrefix("-"), let equals = argument.firstIndex(of: "=") else {
      return name(argument[...])
    }
    return argument[...equals] + name(argument[argument.index(after: equals)...])
  }

  private static func name(_ value: Substring) -> String {
    guard value.hasPrefix("/") else { return String(value) }
    return String(value.split(separator: "/").last ?? value)
  }
}
