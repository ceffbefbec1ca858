import Foundation
import TestSupport

/// One run of the built `herd` program.
struct HerdRun {
  /// The exit status; 128 + signal when a signal ended it.
  let status: Int32
  /// Standard output.
  let output: String
  /// Standard error.
  let error: String

  /// The lines of standard error.
  var errorLines: [Substring] { error.split(separator: "\n") }

  /// Runs `herd` with the given arguments to its end.
  init(_ arguments: String..., input: String = "") throws {
    try self.init(list: arguments, input: input)
  }

  /// Runs `herd` to its end.
  /// - Parameter destination: The file standard output goes to instead of ``output``.
  init(list arguments: [String], input: String = "", output destination: String? = nil) throws {
    let folder = TemporaryFolder()
    let process = Process()
    process.executableURL = try Self.program()
    process.arguments = arguments
    // Files instead of pipes: neither side ever waits for the other.
    let (out, err) = (folder.write("out", ""), folder.write("err", ""))
    process.standardInput = FileHandle(forReadingAtPath: folder.write("in", input))
    process.standardOutput = FileHandle(forWritingAtPath: destination ?? out)
    process.standardError = FileHandle(forWritingAtPath: err)
    try process.run()
    process.waitUntilExit()
    status =
      process.terminationReason == .exit
      ? process.terminationStatus : 128 + process.terminationStatus
    self.output = try String(contentsOfFile: out, encoding: .utf8)
    error = try String(contentsOfFile: err, encoding: .utf8)
  }

  /// The program beside the test bundle.
  static func program() throws -> URL {
    let start = URL(fileURLWithPath: CommandLine.arguments[0])
    let bundle = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      .map { URL(fileURLWithPath: $0) }
    let package = URL(fileURLWithPath: PackageFolder.path)
    #if DEBUG
      let build = package.appendingPathComponent(".build/debug/herd")
    #else
      let build = package.appendingPathComponent(".build/release/herd")
    #endif
    let candidates =
      [bundle, start].compactMap { $0?.deletingLastPathComponent().appendingPathComponent("herd") }
      + [build]
    guard
      let program = candidates.first(where: {
        FileManager.default.isExecutableFile(atPath: $0.path)
      })
    else { throw MissingProgram(candidates: candidates.map(\.path)) }
    return program
  }

  struct MissingProgram: Error { let candidates: [String] }
}
