/// What a workflow tells while it runs.
public struct WorkflowEvents {
  /// A line worth keeping.
  public var note: (String) -> Void
  /// How far the present piece of work is.
  public var progress: (WorkflowProgress) -> Void

  /// Events that go nowhere unless handlers are given.
  public init(
    note: @escaping (String) -> Void = { _ in },
    progress: @escaping (WorkflowProgress) -> Void = { _ in }
  ) {
    self.note = note
    self.progress = progress
  }
}

/// How far a piece of work is.
public struct WorkflowProgress: Sendable, Equatable {
  /// What is being done, such as `stage1`.
  public var label: String
  /// Units done.
  public var done: Int
  /// Units in all.
  public var total: Int
  /// What is counted.
  public var unit: String
  /// A short figure to show beside the bar, such as `loss 2.31`.
  public var detail: String

  /// Progress of one piece of work.
  public init(
    _ label: String, done: Int, total: Int, unit: String = "steps", detail: String = ""
  ) {
    self.label = label
    self.done = done
    self.total = total
    self.unit = unit
    self.detail = detail
  }
}
