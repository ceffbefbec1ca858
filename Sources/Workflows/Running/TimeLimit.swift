import Synchronization

/// When runs of a process must have stopped, and how long their kinds of work take.
///
/// Work is stopped between steps, so a step is begun only where the longest of its kind so far still
/// fits. The first of a kind is begun in any case.
///
/// `@unchecked Sendable`: the clock is only looked at under the lock.
final class TimeLimit: @unchecked Sendable {
  private struct State {
    var longest: [String: Double] = [:]
    /// What kinds may take that were measured otherwise and not yet in this process.
    var guesses: [String: Double] = [:]
    var isStopped = false
  }

  private let total: Double
  private let elapsed: () -> Double
  private let state = Mutex(State())

  /// - Parameters:
  ///   - seconds: The time from now on.
  ///   - elapsed: Seconds since now.
  init(seconds: Double, elapsed: @escaping () -> Double) {
    total = seconds
    self.elapsed = elapsed
  }

  /// A limit by the clock on the wall.
  convenience init(seconds: Double) {
    let start = ContinuousClock.now
    self.init(seconds: seconds) { (ContinuousClock.now - start).inSeconds }
  }

  /// Notes how long a piece of work took.
  func learn(_ kind: String, seconds: Double) {
    state.withLock {
      $0.longest[kind] = max($0.longest[kind] ?? 0, seconds)
      $0.guesses[kind] = nil
    }
  }

  /// Notes how long a piece of work took that may now take up to `factor` times as long.
  ///
  /// Until one has been done it counts for as much, but beyond the time it took for no more than half of
  /// the limit: a call that comes to it early begins it and learns what it takes.
  func learn(_ kind: String, seconds: Double, slowedUpTo factor: Double) {
    learn(kind, seconds: seconds)
    state.withLock { $0.guesses[kind] = min(seconds * factor, total / 2) }
  }

  /// Whether another piece of work of this kind still fits; a fiftieth of the time is left for
  /// checkpoints and reports.
  func fits(_ kind: String) -> Bool {
    state.withLock {
      !$0.isStopped
        && elapsed() + max($0.longest[kind] ?? 0, $0.guesses[kind] ?? 0) < 0.98 * total
    }
  }

  /// From now on nothing fits.
  func stop() { state.withLock { $0.isStopped = true } }
}

/// A run stopped cleanly because its time was up; run again, it goes on.
struct TimeIsUp: Error, CustomStringConvertible {
  let description = "the time limit was reached; run the same command again to go on"
}

extension Duration {
  /// The whole duration in seconds.
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
