import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct GradientCalibrationTests {
  private let folder = TemporaryFolder()
  private let context: Context
  private let loader: ModelLoader

  init() throws {
    context = try Context(device: .cpu(threads: 1))
    let path = try SmallCheckpoint(elementType: .f32).write(in: folder)
    let (source, checkpoint) = try openDense(path)
    loader = try ModelLoader(
      layout: CheckpointLayouts.layout(for: source.configuration), checkpoint: checkpoint)
  }

  private func importance(
    _ documents: [CalibrationDocument], clusters: Int = 1, batch: Int = 2048,
    skipping: Set<Int> = [], seed: UInt64 = 1
  ) throws -> [Int: ClusterImportance] {
    try GradientCalibration(loader, documents: documents, batchTokens: batch, context: context)
      .importance(clusters: clusters, seed: seed, skipping: skipping)
  }

  /// In a text of two tokens only the first one's activations reach the loss, so a neuron's
  /// importance is the slope of the loss as what the neuron writes grows: central differences in
  /// Double.
  @Test func importanceIsTheSlopeOfTheLoss() throws {
    let tokens: [Int32] = [3, 11]
    let found = try importance([CalibrationDocument(tokens)])
    let model = try loader.model(dtype: .f64, in: context)
    let targets = context.tensor([11, -1] as [Int32], [2])
    let weights = context.tensor([1, 0] as [Double], [2])
    func loss() -> Double {
      let output = model(
        context.tensor(tokens, [2]), layout: SequenceLayout(count: 2, in: context), in: context)
      return context.readScalar(
        context.linearCrossEntropy(
          output.hidden_TD, weight: model.head.tensor, targets: targets, lossWeights: weights
        ).total)
    }
    let step = 1e-5
    for layer in 0..<2 {
      let down = try #require(
        model.parameters.first { $0.name == DenseSource.name(layer, .down) })
      let plain = down.value
      let values = context.readDoubles(plain)
      let importance = try #require(found[layer]).importance_EI
      let largest = Double(try #require(importance.max()))
      for neuron in 0..<24 {
        func scaled(_ factor: Double) -> Double {
          var changed = values
          for row in 0..<8 { changed[row * 24 + neuron] *= factor }
          down.value = context.tensor(changed, [8, 24])
          return loss()
        }
        let slope = abs(scaled(1 + step) - scaled(1 - step)) / (2 * step)
        // A mean over both tokens, of which the second has no gradient.
        #expect(abs(2 * Double(importance[neuron]) - slope) < 1e-4 * 2 * largest + 1e-7)
      }
      down.value = plain
    }
  }

  /// Text that is not learnt from counts as tokens, and has no gradient.
  @Test func masksAreHonoured() throws {
    let learnt = CalibrationDocument([1, 2, 3, 4], lossMask: [0, 0, 1, 1])
    let silent = CalibrationDocument([5, 6, 7, 8], lossMask: [1, 0, 0, 0])
    let alone = try importance([learnt])
    let both = try importance([learnt, silent])
    let all = try importance([CalibrationDocument([1, 2, 3, 4])])
    for layer in 0..<2 {
      let (one, two) = (try #require(alone[layer]), try #require(both[layer]))
      let largest = one.importance_EI.max() ?? 0
      #expect(largest > 0)
      #expect(
        zip(one.importance_EI, two.importance_EI).allSatisfy { abs($0 - 2 * $1) < 1e-4 * largest })
      #expect(
        zip(one.importance_EI, try #require(all[layer]).importance_EI)
          .contains { abs($0 - $1) > 1e-2 * largest })
    }
    let error = #expect(throws: ConstructionError.self) { try importance([silent]) }
    #expect(error?.description.contains("nothing in the calibration data is learnt from") == true)
  }

  /// How texts are batched changes nothing, and clusters divide what one cluster has.
  @Test func batchesDoNotMatter() throws {
    let documents = (0..<6).map { index in
      CalibrationDocument((0..<7).map { Int32((index * 5 + $0 * 3) % 16) })
    }
    let whole = try importance(documents, clusters: 3)
    let parts = try importance(documents, clusters: 3, batch: 8)
    for layer in 0..<2 {
      let (a, b) = (try #require(whole[layer]), try #require(parts[layer]))
      #expect(a.centres_ED.count == 24 && a.importance_EI.count == 72)
      let largest = a.importance_EI.max() ?? 0
      #expect(
        zip(a.importance_EI, b.importance_EI).allSatisfy { abs($0 - $1) < 1e-4 * largest })
      #expect(zip(a.centres_ED, b.centres_ED).allSatisfy { abs($0 - $1) < 1e-4 })
    }
    #expect(try importance(documents, clusters: 3) == whole)
    #expect(Set(try importance(documents, clusters: 2, skipping: [0]).keys) == [1])
    let few = #expect(throws: ConstructionError.self) {
      try importance([CalibrationDocument([1, 2])], clusters: 5)
    }
    #expect(few?.description.contains("--calibration-tokens") == true)
    #expect(throws: ConstructionError.self) { try importance([CalibrationDocument([16, 1])]) }
  }
}
