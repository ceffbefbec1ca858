import Glibc

/// One thread that runs jobs in order, so that reading, computing and writing overlap.
///
/// `@unchecked Sendable`: all state is guarded by the mutex.
final class BackgroundWorker: @unchecked Sendable {
  typealias Job = @Sendable () throws -> Void

  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private var thread = pthread_t()
  private var jobs: [Job] = []
  private var isRunning = false
  private var isStopping = false
  private var failure: (any Error)?

  init() throws {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
    let state = Unmanaged.passUnretained(self)
    let result = pthread_create(
      &thread, nil,
      { argument in
        if let argument {
          Unmanaged<BackgroundWorker>.fromOpaque(argument).takeUnretainedValue().work()
        }
        return nil
      }, state.toOpaque())
    guard result == 0 else {
      throw ConstructionError(
        .refused, "cannot start a thread: \(String(cString: strerror(result)))")
    }
  }

  deinit {
    pthread_mutex_destroy(mutex)
    pthread_cond_destroy(changed)
    mutex.deallocate()
    changed.deallocate()
  }

  /// Adds a job. After a job has failed, later ones are dropped.
  func submit(_ job: @escaping Job) {
    locked {
      guard failure == nil else { return }
      jobs.append(job)
      pthread_cond_broadcast(changed)
    }
  }

  /// Waits for all jobs; throws what the first failed one threw.
  func drain() throws {
    let error = locked {
      while isRunning || !jobs.isEmpty { pthread_cond_wait(changed, mutex) }
      return failure
    }
    if let error { throw error }
  }

  /// Finishes the running job, drops the others and ends the thread. To be called once, last.
  func stop() {
    locked {
      isStopping = true
      jobs = []
      pthread_cond_broadcast(changed)
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
    locked {
      while jobs.isEmpty && !isStopping { pthread_cond_wait(changed, mutex) }
      guard !isStopping else { return nil }
      isRunning = true
      return jobs.removeFirst()
    }
  }

  private func finished(_ error: (any Error)?) {
    locked {
      isRunning = false
      if let error {
        failure = failure ?? error
        jobs = []
      }
      pthread_cond_broadcast(changed)
    }
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body()
  }
}
