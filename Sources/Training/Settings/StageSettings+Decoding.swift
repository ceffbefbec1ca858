import Data
import Formats

extension StageSettings {
  private static let keys = [
    "name", "data", "tokens", "sequence_length", "batch_sequences", "micro_batch", "sampling",
    "train", "lora", "learning_rate", "router_learning_rate", "groups", "optimizer", "weights",
    "betas", "epsilon", "weight_decay", "clip", "schedule", "losses", "checkpointing",
    "evaluate_every", "checkpoint_every", "save_dtype", "router_noise", "router_jitter",
    "domain_weighting",
  ]

  /// The most tokens, steps or sequences a setting may ask for.
  private static let largestCount = 1 << 50

  /// Decodes one stage of a pipeline file.
  ///
  /// - Throws: ``SettingsError`` for an unknown key, a wrong kind or a value out of bounds.
  public init(_ section: ConfigurationFile) throws(SettingsError) {
    let reader = try SettingsReader(section, keys: Self.keys)
    let name = try reader.string("name")
    guard name.utf8.allSatisfy(Self.isAllowedInName), !name.hasPrefix(".") else {
      throw reader.failure(
        "name", "\"\(name)\" names a folder; use letters, digits, '-', '_' and '.' (not first)")
    }
    var data: [DataSource] = []
    for source in try reader.sections("data", keys: ["file", "weight", "format"]) {
      data.append(
        DataSource(
          file: try source.string("file"), weight: try source.positive("weight", default: 1),
          format: try source.optionalString("format")))
    }
    guard !data.isEmpty else {
      throw reader.failure("data", "no data files; list at least one as {file: PATH}")
    }
    self.init(
      name: name, data: data, tokens: try reader.integer("tokens", in: 1...Self.largestCount))
    if let section = try reader.optionalSection(
      "domain_weighting", keys: ["every", "reference", "windows"])
    {
      guard Set(domains).count > 1 else {
        throw reader.failure(
          "domain_weighting",
          "the data is of one domain, \(domains[0]), whose share is always 1; give files of two or more, or leave it out"
        )
      }
      domainWeighting = try DomainWeighting(section, entries: data.count)
    }
    try decodeBatches(reader)
    try decodeOptimizer(reader)
    routerNoise = try reader.nonNegative("router_noise", default: routerNoise)
    routerJitter = try reader.number(
      "router_jitter", "a number of at least 0 and below 1", default: routerJitter
    ) { $0 >= 0 && $0 < 1 }
    schedule = try Schedule(
      reader.section("schedule", keys: ["kind", "warmup_steps", "final_fraction"]))
    losses = try Losses(
      reader.section(
        "losses",
        keys: [
          "cross_entropy", "distillation", "distillation_over", "hidden_alignment",
          "local_alignment", "load_balance", "balance_over", "router_z", "selection_bias_rate",
        ]))
    guard losses.trainsEndToEnd || losses.localAlignment > 0 else {
      throw reader.failure(
        "losses",
        "nothing to learn from; give cross_entropy, distillation, hidden_alignment or local_alignment a weight"
      )
    }
    checkpointing = try reader.bool("checkpointing", default: checkpointing)
    evaluateEvery = try reader.integer(
      "evaluate_every", in: 0...Self.largestCount, default: evaluateEvery)
    checkpointEvery = try reader.integer(
      "checkpoint_every", in: 0...Self.largestCount, default: checkpointEvery)
    saveType = try reader.choice("save_dtype", default: saveType)
  }

  private mutating func decodeBatches(_ reader: SettingsReader) throws(SettingsError) {
    sequenceLength = try reader.integer(
      "sequence_length", in: 1...1 << 24, default: sequenceLength)
    batchSequences = try reader.integer(
      "batch_sequences", in: 1...1 << 20, default: batchSequences)
    microBatch = try reader.integer(
      "micro_batch", in: 1...batchSequences, default: min(microBatch, batchSequences))
    // Rows are counted in 32-bit integers below.
    guard microBatch * sequenceLength <= 1 << 28 else {
      throw reader.failure(
        "micro_batch", "\(microBatch) sequences of \(sequenceLength) tokens in one pass; lower it")
    }
    sampling = try reader.choice("sampling", default: sampling)
  }

  private mutating func decodeOptimizer(_ reader: SettingsReader) throws(SettingsError) {
    lora = try reader.optionalSection("lora", keys: ["rank", "alpha", "targets"])
      .map { (section) throws(SettingsError) in try LowRankSettings(section) }
    // Adapters can be all that trains.
    train = try reader.strings(
      "train", default: lora == nil ? train : [], allowsNone: lora != nil)
    learningRate = try reader.positive("learning_rate", default: learningRate)
    routerLearningRate = try reader.optionalNonNegative("router_learning_rate")
    for group in try reader.sections("groups", keys: ["pattern", "learning_rate"]) {
      groups.append(
        Group(
          pattern: try group.string("pattern"),
          learningRate: try group.nonNegative("learning_rate")))
    }
    optimizer = try reader.choice("optimizer", default: optimizer)
    weights = try reader.choice("weights", default: weights)
    guard weights == .f32 || optimizer == .adamW8Bit else {
      throw reader.failure(
        "weights", "bf16 weights are rounded by the 8-bit optimizer; give optimizer: adamw_8bit")
    }
    betas = try reader.numbers(
      "betas", "two numbers of at least 0 and below 1", default: betas
    ) { $0 >= 0 && $0 < 1 }
    epsilon = try reader.positive("epsilon", default: epsilon)
    weightDecay = try reader.nonNegative("weight_decay", default: weightDecay)
    clip = try reader.nonNegative("clip", default: clip)
  }

  private static func isAllowedInName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
      UInt8(ascii: "."):
      true
    default: false
    }
  }
}

extension DomainWeighting {
  /// - Parameter entries: Entries of the stage's data.
  init(_ reader: SettingsReader, entries: Int) throws(SettingsError) {
    every = try reader.integer("every", in: 1...1 << 40)
    let losses = try reader.numbers(
      "reference", orWord: "teacher", count: entries,
      "a loss above 0 for each of the \(entries) data files, in their order, or teacher"
    ) { $0 > 0 && $0.isFinite }
    reference = losses.map(Reference.losses) ?? .teacher
    windows = try reader.optionalInteger("windows", in: 1...1 << 40)
  }
}

extension LowRankSettings {
  init(_ reader: SettingsReader) throws(SettingsError) {
    let rank = try reader.integer("rank", in: 1...1 << 16)
    self.init(
      rank: rank, alpha: try reader.positive("alpha", default: Double(rank)),
      targets: try reader.strings("targets"))
  }
}

extension Schedule {
  init(_ reader: SettingsReader) throws(SettingsError) {
    self.init()
    kind = try reader.choice("kind", default: kind)
    warmupSteps = try reader.integer("warmup_steps", in: 0...1 << 40, default: warmupSteps)
    finalFraction = try reader.number(
      "final_fraction", "a number from 0 to 1", default: finalFraction
    ) { (0...1).contains($0) }
  }
}

extension Losses {
  init(_ reader: SettingsReader) throws(SettingsError) {
    self.init()
    crossEntropy = try reader.nonNegative("cross_entropy", default: crossEntropy)
    distillation = try reader.nonNegative("distillation", default: distillation)
    distillationOver = try reader.choice("distillation_over", default: distillationOver)
    hiddenAlignment = try reader.nonNegative("hidden_alignment", default: hiddenAlignment)
    localAlignment = try reader.nonNegative("local_alignment", default: localAlignment)
    loadBalance = try reader.nonNegative("load_balance", default: loadBalance)
    balanceOver = try reader.choice("balance_over", default: balanceOver)
    routerZ = try reader.nonNegative("router_z", default: routerZ)
    selectionBiasRate = try reader.nonNegative("selection_bias_rate", default: selectionBiasRate)
  }
}
