import Formats
import Glibc

/// Lets a program that is interrupted leave nothing behind.
enum Interruption {
  /// A pipe from the signal handlers to the thread that acts on them.
  private static let pipe: (read: Int32, write: Int32)? = {
    var ends: [Int32] = [-1, -1]
    return Glibc.pipe(&ends) == 0 ? (ends[0], ends[1]) : nil
  }()

  /// The folder to remove; the thread that waits for a signal holds it.
  private final class Folder: Sendable {
    let path: String
    init(_ path: String) { self.path = path }
  }

  /// Removes `folder` when a signal ends the program. To be called once. A signal that the program
  /// was started to ignore, as under nohup, is ignored still.
  static func remove(_ folder: String) {
    let numbers = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }
    guard !numbers.isEmpty, pipe != nil else { return }
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Folder(folder)).toOpaque()
    let started = pthread_create(
      &thread, nil,
      { argument in
        if let argument {
          Interruption.wait(Unmanaged<Folder>.fromOpaque(argument).takeRetainedValue().path)
        }
        return nil
      }, argument)
    guard started == 0 else { return }
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in numbers {
      sigaddset(&signals, number)
      signal(number) { number in
        // Only what a signal handler may do: tell the thread.
        var byte = UInt8(truncatingIfNeeded: number)
        if let pipe = Interruption.pipe { _ = write(pipe.write, &byte, 1) }
      }
    }
    // A parent may have left them blocked.
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  private static func wait(_ folder: String) {
    var byte: UInt8 = 0
    guard let pipe else { return }
    while read(pipe.read, &byte, 1) != 1 { guard errno == EINTR else { return } }
    // The work goes on meanwhile and may put a file into a folder that is being emptied.
    for _ in 0..<100 where Files.exists(folder) {
      try? Files.remove(folder)
    }
    let number = Int32(byte)
    signal(number, SIG_DFL)
    kill(getpid(), number)
  }
}
