/// A seeded, endless source of chats in three domains whose answers can be checked exactly.
///
/// A record is a pure function of (seed, domain, index, split), so any record can be made again
/// without the ones before it. Held-out prompts never occur in training text, for any pair of
/// seeds, because the split is decided by the prompt alone.
public struct SyntheticText: Sendable {
  /// The seed all records derive from.
  public let seed: UInt64

  /// The source of a seed.
  public init(seed: UInt64) {
    self.seed = seed
  }

  /// The record at `index` of a domain and split.
  ///
  /// Draws are repeated until the prompt falls on the wanted side: about 16 draws for a held-out
  /// record, about one for training.
  public func record(
    _ domain: SyntheticDomain, _ index: Int, split: SyntheticSplit = .training
  ) -> SyntheticRecord {
    var attempt: UInt64 = 0
    while true {
      var random = SyntheticRandom(
        seed, domain.number, UInt64(bitPattern: Int64(index)), split == .training ? 0 : 1, attempt)
      let task = Self.choose(from: domain.tasks, &random)
      let record = SyntheticRecord(
        domain: domain, task: task.name, messages: task.make(&random))
      if record.split == split { return record }
      attempt += 1
    }
  }

  /// The names of a domain's tasks, for reporting accuracy task by task.
  public static func tasks(of domain: SyntheticDomain) -> [String] {
    domain.tasks.map(\.name)
  }

  private static func choose(
    from tasks: [SyntheticTask], _ random: inout SyntheticRandom
  ) -> SyntheticTask {
    var ticket = random.int(0...tasks.reduce(0) { $0 + $1.weight } - 1)
    for task in tasks {
      if ticket < task.weight { return task }
      ticket -= task.weight
    }
    return tasks[tasks.count - 1]
  }
}

/// One kind of exercise: how often it is drawn within its domain, and how it is written.
struct SyntheticTask: Sendable {
  let name: String
  let weight: Int
  let make: @Sendable (inout SyntheticRandom) -> [Message]

  init(
    _ name: String, weight: Int,
    make: @escaping @Sendable (inout SyntheticRandom) -> [Message]
  ) {
    self.name = name
    self.weight = weight
    self.make = make
  }
}

extension SyntheticDomain {
  var tasks: [SyntheticTask] {
    switch self {
    case .conversation: ConversationTasks.all
    case .code: CodeTasks.all
    case .math: MathTasks.all
    }
  }

  /// A stable number for seeding; the order of cases may change, these may not.
  var number: UInt64 {
    switch self {
    case .conversation: 1
    case .code: 2
    case .math: 3
    }
  }
}
