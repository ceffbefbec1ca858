import Numerics

/// The cells of a grid, done by jobs side by side: each takes one cell after another and has a context
/// of its own, and all but the first a thread.
///
/// A cell is computed as if it were alone, so given the threads of a job what comes out does not depend on
/// the number of jobs.
///
/// `@unchecked Sendable`: a job alone uses its context; all else that changes is behind the monitor, and
/// events are told there.
final class CellJobs<Record: GridRecord>: @unchecked Sendable {
  private struct State {
    /// What no job has begun.
    var waiting: [(position: Int, cell: RunGrid.Cell)]
    var running: Set<String> = []
    var finished = 0
    var record: Record
    /// Why no more cells are begun.
    var end: (any Error)?
  }

  private let grid: RunGrid
  private let contexts: [(context: Context, shared: SharedWork)]
  private let limit: TimeLimit?
  private let state: Monitor<State>

  /// Does the cells, as many at a time as there are jobs.
  ///
  /// - Parameter context: The first job's.
  /// - Throws: The error that stopped the grid, or `TimeIsUp`, when every job has stopped with what it
  ///   takes to go on; `record` holds what was done.
  static func run(_ grid: RunGrid, _ context: Context, into record: inout Record) throws {
    let jobs = try CellJobs(grid, context, record)
    var workers: [BackgroundWorker] = []
    defer { for worker in workers { worker.stop() } }
    for _ in jobs.contexts.dropFirst() { workers.append(try BackgroundWorker()) }
    for (index, worker) in workers.enumerated() { worker.submit { jobs.work(index + 1) } }
    jobs.work(0)
    for worker in workers { try worker.drain() }
    let end = jobs.state.withLock { state in
      record = state.record
      return state.end
    }
    if let end { throw end }
  }

  private init(_ grid: RunGrid, _ context: Context, _ record: Record) throws {
    self.grid = grid
    // With jobs beside it one that fails has others to stop.
    limit = grid.limit ?? (grid.jobs > 1 ? TimeLimit(seconds: .infinity) : nil)
    contexts =
      try [(context, grid.shared)]
      + (1..<grid.jobs).map { _ in (try Context(device: grid.device), grid.shared.beside()) }
    state = Monitor(
      State(
        waiting: grid.cells.enumerated().map { ($0.offset + 1, $0.element) }, record: record))
  }

  private func work(_ job: Int) {
    let (context, shared) = contexts[job]
    do {
      while let (position, cell) = next() {
        tell { $0.note("cell \(position) of \(grid.cells.count): \(cell.name)") }
        let failure = try grid.run(
          cell, context, shared: shared, limit: limit, events: events(of: cell))
        if let failure { tell { $0.note("\(cell.name) failed: \(failure)") } }
        try finish(cell, failure)
      }
    } catch {
      stop(error)
    }
  }

  /// The next cell that can be begun, as soon as there is one; `nil` when there is none any more.
  private func next() -> (position: Int, cell: RunGrid.Cell)? {
    state.wait { state -> (position: Int, cell: RunGrid.Cell)?? in
      if state.end != nil || state.waiting.isEmpty { return .some(nil) }
      let open = state.running.union(state.waiting.map(\.cell.name))
      let ready = state.waiting.firstIndex { entry in
        entry.cell.conversion.map { !open.contains($0) } ?? true
      }
      guard let ready else { return nil }
      let entry = state.waiting.remove(at: ready)
      state.running.insert(entry.cell.name)
      return entry
    }
  }

  private func finish(_ cell: RunGrid.Cell, _ failure: String?) throws {
    try state.withLock { state in
      state.running.remove(cell.name)
      state.finished += 1
      if let failure { state.record.failures[cell.name] = failure }
      try state.record.write()
      if contexts.count > 1 { grid.events.progress(progress(state)) }
    }
  }

  /// How far the grid is.
  private func progress(_ state: State, detail: String = "") -> WorkflowProgress {
    WorkflowProgress(
      grid.kind, done: state.finished, total: grid.cells.count, unit: "cells", detail: detail)
  }

  /// Begins no more cells. After an error other jobs stop where they can go on, as if time were up.
  private func stop(_ error: any Error) {
    state.withLock { state in
      if state.end == nil || state.end is TimeIsUp { state.end = error }
      if !(error is TimeIsUp) { limit?.stop() }
    }
  }

  private func tell(_ body: (WorkflowEvents) -> Void) {
    state.withLock { _ in body(grid.events) }
  }

  /// What a cell's run tells; with others beside it under its name, its progress behind that of the
  /// grid.
  private func events(of cell: RunGrid.Cell) -> WorkflowEvents {
    guard contexts.count > 1 else { return grid.events }
    return WorkflowEvents { [self] note in
      tell { $0.note("\(cell.name): \(note)") }
    } progress: { [self] progress in
      let (done, total) = (progress.done, progress.total)
      let detail = ["\(cell.name): \(progress.label) \(done)/\(total)", progress.detail]
        .filter { !$0.isEmpty }.joined(separator: ", ")
      state.withLock { grid.events.progress(self.progress($0, detail: detail)) }
    }
  }
}
