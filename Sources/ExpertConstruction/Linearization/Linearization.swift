import Formats
import Models

/// Carries out a plan: copies, repeats heads, makes new parameters. The output folder appears complete
/// or not at all.
public struct Linearization {
  private let plan: LinearizationPlan
  private let checkpoint: Checkpoint

  /// - Parameter checkpoint: The source's weights.
  public init(_ plan: LinearizationPlan, checkpoint: Checkpoint) {
    self.plan = plan
    self.checkpoint = checkpoint
  }

  /// Writes the model to `path`.
  ///
  /// - Parameters:
  ///   - force: Whether a folder of that name is replaced.
  ///   - keeping: Files besides the source that a replaced folder must not hold.
  ///   - progress: Gets the number of tensors done and of all.
  ///   - verify: Gets the finished folder while it still has its hidden name.
  public func run(
    to path: String, force: Bool = false, keeping: [String] = [], shardLimit: Int = 5_000_000_000,
    progress: (Int, Int) -> Void = { _, _ in }, verify: (String) throws -> Void = { _ in }
  ) throws -> ByteLedger {
    let folder = try OutputFolder(path, force: force, keeping: [checkpoint.folder] + keeping)
    let writer = try CheckpointWriter(
      folder: folder.stagingPath, tensors: plan.outputs, shardLimit: shardLimit)
    let source = SourceReader(checkpoint)
    var copies: [String: HeadCopies] = [:]
    for (index, (tensor, fate)) in plan.fates.enumerated() {
      switch fate {
      case .copied: try source.copy(tensor.name, to: writer)
      case .repeated(let heads):
        copies[tensor.name] = heads
        try write(tensor, heads, source, writer)
      }
      progress(index + 1, plan.fates.count)
    }
    var digests: [ByteLedger.Created] = []
    for parameter in plan.created {
      try parameter.withBytes(seed: plan.settings.seed) { bytes in
        try writer.write(parameter.tensor.name, bytes)
        var hasher = TensorHasher()
        hasher.update(bytes)
        digests.append(ByteLedger.Created(parameter, sha256: hasher.hexadecimal()))
      }
    }
    try writer.finish()
    var entries = try source.entries(plan.fates.map(\.tensor))
    for index in entries.indices { entries[index].copies = copies[entries[index].name] }
    var ledger = ByteLedger(format: .herd, shape: nil, source: entries, splits: [])
    ledger.creation = ByteLedger.Creation(seed: plan.settings.seed, tensors: digests)
    try CompanionFiles.copy(from: checkpoint.folder, to: folder.stagingPath)
    try plan.configuration().write(to: folder.path(of: "config.json"))
    try Files.write(ledger.json.serialized() + "\n", to: folder.path(of: ByteLedger.fileName))
    try Files.write(card(ledger), to: folder.path(of: "README.md"))
    try verify(folder.stagingPath)
    try folder.commit()
    return ledger
  }

  /// Writes each head of a tensor as often as it is to be there.
  private func write(
    _ tensor: TensorDescription, _ heads: HeadCopies, _ source: SourceReader,
    _ writer: CheckpointWriter
  ) throws {
    let buffer = ByteBuffer(tensor.byteCount)
    try source.read(tensor.name, into: buffer.slice(0..<tensor.byteCount))
    let size = tensor.byteCount / tensor.shape[0] * heads.rows
    for head in 0..<tensor.shape[0] / heads.rows {
      let bytes = UnsafeRawBufferPointer(buffer.slice(head * size..<(head + 1) * size))
      for copy in 0..<heads.times {
        try writer.write(tensor.name, at: (head * heads.times + copy) * size, bytes)
      }
    }
  }

  private func card(_ ledger: ByteLedger) -> String {
    let created = plan.created.reduce(0) { $0 + $1.tensor.shape.reduce(1, *) }
    let list = { (layers: [Int]) in ByteLedger.ranges(layers) }
    return """
      ---
      library_name: herd
      tags: [linear-attention, llama]
      ---
      # Lightning attention from softmax attention

      Made by herd without training. Every element of the source is used; heads of keys and values \
      are copied where each query head has its own now.

      | | |
      |---|---|
      | linear layers | \(list(plan.linear)) |
      | softmax layers | \(list(plan.kept)) |
      | slopes | \(plan.settings.slopes.rawValue)\(plan.settings.sharesKeys ? ", one per key head" : "") |
      | softmax beside them | \(plan.settings.window.map { "over \($0) tokens" } ?? "none") |
      | new tensors, elements | \(plan.created.count), \(created) |
      | seed | \(plan.settings.seed) |
      | source digest (SHA-256) | `\(ledger.sourceDigest)` |

      The digests of all source tensors and the new tensors are in `\(ByteLedger.fileName)`.

      """
  }
}
