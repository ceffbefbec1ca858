import Glibc

/// One thread that runs jobs in order, beside the one that hands them out.
///
/// `@unchecked Sendable`: the thread is only touched by the owner, all else is behind the monitor.
package final class BackgroundWorker: @unchecked Sendable {
  package typealias Job = @Sendable () throws -> Void

  private struct State {
    var jobs: [Job] = []
    var isRunning = false
    var isStopping = false
    var failure: (any Error)?
  }

  private let state = Monitor(State())
  private var thread = pthread_t()

  /// - Throws: ``DeviceError`` when there is no thread to be had.
  package init() throws(DeviceError) {
    let argument = Unmanaged.passUnretained(self)
    let result = pthread_create(
      &thread, nil,
      { argument in
        if let argument {
          Unmanaged<BackgroundWorker>.fromOpaque(argument).takeUnretainedValue().work()
        }
        return nil
      }, argument.toOpaque())
    guard result == 0 else {
      throw DeviceError("cannot start a thread: \(String(cString: strerror(result)))")
    }
  }

  /// Adds a job. After a job has failed, later ones are dropped.
  package func submit(_ job: @escaping Job) {
    state.withLock { if $0.failure == nil { $0.jobs.append(job) } }
  }

  /// Waits for all jobs; throws what the first failed one threw.
  package func drain() throws {
    let error: (any Error)? = state.wait {
      $0.isRunning || !$0.jobs.isEmpty ? nil : .some($0.failure)
    }
    if let error { throw error }
  }

  /// Finishes the running job, drops the others and ends the thread. To be called once, last.
  package func stop() {
    state.withLock {
      $0.isStopping = true
      $0.jobs = []
    }
    pthread_join(thread, nil)
  }

  private func work() {
    while let job = next() {
      do {
        try job()
        finished(nil)
      } catch {
        finished(error)
      }
    }
  }

  private func next() -> Job? {
    state.wait { state -> Job?? in
      if state.isStopping { return .some(nil) }
      guard !state.jobs.isEmpty else { return nil }
      state.isRunning = true
      return state.jobs.removeFirst()
    }
  }

  private func finished(_ error: (any Error)?) {
    state.withLock {
      $0.isRunning = false
      guard let error else { return }
      $0.failure = $0.failure ?? error
      $0.jobs = []
    }
  }
}
