import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct CheckpointComparisonTests {
  private let folder = TemporaryFolder()

  private func open(_ path: String) throws -> ModelLoader { try openModel(path).loader }

  private func compare(_ first: String, _ second: String) throws -> CheckpointDifference {
    try CheckpointComparison(open(first), open(second)).run()
  }

  private func convert(_ dense: String, _ format: OutputFormat, _ strategy: StrategyName) throws
    -> String
  {
    let (source, checkpoint) = try openDense(dense)
    let path = "\(folder.path)/\(format)-\(strategy)"
    let shared = format == .mixtral ? 0 : 1
    _ = try Conversion(
      ConversionPlan(
        source,
        ConversionSettings(
          experts: 4 - shared, topK: 1, shared: shared, strategy: strategy, router: .random,
          rule: .renormalizedSoftmax, scale: 4, format: format)),
      checkpoint: checkpoint, context: Context()
    ).run(to: path)
    return path
  }

  /// Changes one element of an f32 folder's single file, and tells where.
  private func change(_ path: String, _ tensor: String, element: Int, to value: Float) throws {
    let checkpoint = try Checkpoint(folder: path)
    let shard = try checkpoint.shard(of: tensor)
    let place = try checkpoint.tensor(tensor)
    var bytes = try Files.read(shard.path)
    let data = bytes.count - shard.tensors.reduce(0) { max($0, $1.byteRange.upperBound) }
    let start = data + place.byteRange.lowerBound + element * 4
    withUnsafeBytes(of: value) { bytes.replaceSubrange(start..<start + 4, with: $0) }
    try Files.write(bytes, to: shard.path)
  }

  @Test func equalFoldersOfDifferentTypes() throws {
    let wide = try SmallCheckpoint(elementType: .f32).write(in: folder, name: "wide")
    let again = try SmallCheckpoint(elementType: .f32).write(in: folder, name: "again")
    let found = try compare(wide, again)
    #expect(found.isEmpty && found.equal == 20)
    let narrow = try SmallCheckpoint(elementType: .bf16).write(in: folder, name: "narrow")
    let rounded = try compare(wide, narrow)
    // Truncation to bf16 keeps eight bits.
    #expect(rounded.tensors.count == 20 && !rounded.isEmpty)
    #expect(rounded.tensors.allSatisfy { (6.0...12.0).contains($0.bits) })
  }

  @Test func oneElement() throws {
    let first = try SmallCheckpoint(elementType: .f32).write(in: folder, name: "first")
    let second = try SmallCheckpoint(elementType: .f32).write(in: folder, name: "second")
    let name = "model.layers.1.mlp.up_proj.weight"
    let before = try open(first).floats(name, 0..<192)
    try change(second, name, element: 17, to: before[17] + 0.5)
    let found = try compare(first, second)
    let tensor = try #require(found.tensors.first)
    #expect(found.tensors.count == 1 && found.equal == 19)
    #expect(tensor.name == name && tensor.differing == 1 && tensor.elements == 192)
    #expect(abs(tensor.largest - 0.5) < 1e-6)
    let power = before.reduce(0.0) { $0 + Double($1) * Double($1) }
    #expect(abs(tensor.relativeRMS - 0.5 / power.squareRoot()) < 1e-6)
    // One neuron of 24 is another.
    #expect(found.neurons.count == 1)
    #expect(found.neurons.first?.same == 23 && found.neurons.first?.sameRows == 23)
    try change(second, name, element: 17, to: .nan)
    #expect(try compare(first, second).tensors.first?.largest == .infinity)
  }

  @Test(arguments: [OutputFormat.herd, .mixtral, .granitemoeshared, .qwen2_moe])
  func expertsAreTheNeuronsOfTheDenseModel(format: OutputFormat) throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let shuffled = try compare(dense, convert(dense, format, .random))
    #expect(shuffled.neurons.count == 2)
    #expect(shuffled.neurons.allSatisfy { $0.isPermutation && !$0.isInOrder })
    #expect(shuffled.tensors.isEmpty && shuffled.onlyInFirst.isEmpty && !shuffled.isEmpty)
    #expect(shuffled.onlyInSecond.contains { $0.name == "model.layers.0.mlp.router.weight" })
    let ordered = try compare(dense, convert(dense, format, .sequential))
    #expect(ordered.neurons.allSatisfy { $0.isPermutation && $0.isInOrder })
  }

  @Test func anExportHoldsWhatItsSourceDoes() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let herd = try convert(dense, .herd, .random)
    let export = try Export(
      Checkpoint(folder: herd),
      configuration: ConfigurationFile(contentsOf: "\(herd)/config.json"), to: .granitemoeshared)
    try export.run(to: "\(folder.path)/granite")
    // Routed down projections are stored times four; that is undone before they are compared.
    #expect(try compare(herd, "\(folder.path)/granite").isEmpty)
  }

  /// Heads that change places are found, as long as each key head keeps its query heads.
  @Test func permutedHeads() throws {
    let first = try SmallCheckpoint(elementType: .f32).write(in: folder, name: "first")
    let second = try SmallCheckpoint(elementType: .f32).write(in: folder, name: "second")
    let loader = try open(first)
    let prefix = "model.layers.0.self_attn."
    // Two key heads of 2 channels with two query heads each; hidden size 8.
    for (name, rows) in [("q_proj", 8), ("k_proj", 4), ("v_proj", 4)] {
      let values = try loader.floats("\(prefix)\(name).weight", 0..<rows * 8)
      for row in 0..<rows {
        for column in 0..<8 {
          try change(
            second, "\(prefix)\(name).weight", element: (row + rows / 2) % rows * 8 + column,
            to: values[row * 8 + column])
        }
      }
    }
    let outputs = try loader.floats("\(prefix)o_proj.weight", 0..<64)
    for (index, value) in outputs.enumerated() {
      try change(
        second, "\(prefix)o_proj.weight", element: index / 8 * 8 + (index + 4) % 8, to: value)
    }
    let found = try compare(first, second)
    #expect(found.tensors.count == 4)
    #expect(found.heads == [HeadMatch(layer: 0, groups: 2, same: 2)])
    try change(second, "\(prefix)v_proj.weight", element: 0, to: 9)
    #expect(try compare(first, second).heads == [HeadMatch(layer: 0, groups: 2, same: 1)])
  }

  @Test func otherSizes() throws {
    let first = try SmallCheckpoint().write(in: folder, name: "first")
    let second = try SmallCheckpoint(layers: 3, width: 16).write(in: folder, name: "second")
    let found = try compare(first, second)
    #expect(found.neurons.count == 2 && found.neurons.allSatisfy { $0.inSecond == 16 })
    #expect(found.onlyInSecond.count == 9)
    #expect(CheckpointComparison.common([1, 1, 2], [1, 2, 2]) == 2)
  }
}
