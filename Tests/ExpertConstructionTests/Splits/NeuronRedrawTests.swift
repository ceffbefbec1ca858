import Formats
import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct NeuronRedrawTests {
  private func split(
    _ ratio: Double, width: Int, seed: UInt64 = 1, layer: Int = 0
  ) throws -> NeuronSplit {
    let context = try Context(device: .cpu(threads: 1))
    let geometry = try SplitGeometry(width: width, experts: 4, topK: 2, shared: 0, form: .copied)
    return try DropUpcycleStrategy(ratio: ratio).split(
      randomLayer(context, geometry: geometry, hidden: 2, seed: seed, index: layer))
  }

  /// Each expert draws its own share of the neurons; seed, layer and expert say which.
  @Test func theChoiceFollowsFromSeedLayerAndExpert() throws {
    let split = try split(0.25, width: 40)
    #expect(split.redrawn.count == 4 && Set(split.redrawn).count == 4)
    for neurons in split.redrawn {
      #expect(neurons.count == 10 && Set(neurons).count == 10 && neurons == neurons.sorted())
      #expect(neurons.allSatisfy { (0..<40).contains($0) })
    }
    #expect(split.experts.allSatisfy { $0 == (0..<40).map { Int32($0) } })
    #expect(try split == self.split(0.25, width: 40))
    #expect(try split != self.split(0.25, width: 40, seed: 2))
    #expect(try split != self.split(0.25, width: 40, layer: 1))
    #expect(try self.split(0.5, width: 7).redrawn.allSatisfy { $0.count == 4 })
    #expect(split.uses(width: 40).reduce(0, +) == 4 * 30)
  }

  /// Every neuron is as likely as any other.
  @Test func allNeuronsAreChosenAlike() {
    var counts = [Int](repeating: 0, count: 10)
    for expert in 0..<4000 {
      let neurons = NeuronRedraw(seed: 9, layer: 3).neurons(3, of: 10, expert: expert)
      for neuron in neurons { counts[Int(neuron)] += 1 }
    }
    // 1200 each, with a deviation of 29.
    #expect(counts.allSatisfy { abs($0 - 1200) < 150 }, "\(counts)")
  }

  /// Mean and deviation of the weights that are replaced, also far from zero, and what is drawn has
  /// the same.
  @Test(arguments: Projection.allCases, [ElementType.f32, .bf16, .f16])
  func newWeightsAreDistributedAsTheOldOnes(projection: Projection, type: ElementType) throws {
    let (width, hidden) = (60, 400)
    var random = RandomStream(seed: 5)
    let neurons = NeuronRedraw(seed: 2, layer: 1).neurons(24, of: width, expert: 1)
    let isRedrawn = Set(neurons)
    // Only the chosen neurons have mean 3 and deviation 0.5.
    let values = (0..<width * hidden).map { index -> Float in
      let neuron = Int32(projection == .down ? index % width : index / hidden)
      return isRedrawn.contains(neuron) ? 3 + 0.5 * random.normal(1)[0] : 70
    }
    var matrix = [UInt8](repeating: 0, count: values.count * type.bitWidth / 8)
    func floats() -> [Float] {
      var floats: [Float] = []
      matrix.withUnsafeBytes {
        StoredElements.forEachBlock(of: $0, type) { _, block in floats += block }
      }
      return floats
    }
    func normal() -> NormalDistribution {
      matrix.withUnsafeBytes {
        NeuronRedraw.normal(of: neurons, projection, in: $0, width: width, hidden: hidden, type)
      }
    }
    matrix.withUnsafeMutableBytes { bytes in
      values.withUnsafeBufferPointer { StoredElements.narrow($0, to: type, into: bytes) }
    }
    let (old, before) = (normal(), floats())
    #expect(abs(old.mean - 3) < 0.02 && abs(old.deviation - 0.5) < 0.02)
    func redraw(_ seed: UInt64, expert: Int = 1) -> [UInt8] {
      let isFinite = matrix.withUnsafeMutableBytes {
        NeuronRedraw(seed: seed, layer: 1).apply(
          to: neurons, projection, expert: expert, from: old, in: $0, width: width,
          hidden: hidden, type)
      }
      #expect(isFinite)
      return matrix
    }
    let made = redraw(2)
    let (new, after) = (normal(), floats())
    #expect(abs(new.mean - old.mean) < 0.02 && abs(new.deviation - old.deviation) < 0.02)
    var changed = 0
    for index in after.indices {
      let neuron = Int32(projection == .down ? index % width : index / hidden)
      if after[index] != before[index] { changed += 1 }
      if !isRedrawn.contains(neuron) { #expect(after[index] == 70) }
    }
    // Few new values round to what stood there.
    #expect(changed > neurons.count * hidden * 9 / 10)
    #expect(redraw(2) == made && redraw(3) != made)
    #expect(redraw(2, expert: 0) != made)
  }

  @Test func aConstantHasNoDeviation() {
    let values = [Float](repeating: 0.1, count: 9000)
    let normal = values.withUnsafeBytes { NormalDistribution(of: $0, .f32) }
    #expect(normal == NormalDistribution(mean: Double(Float(0.1)), deviation: 0))
  }

  /// Lists that could not have been drawn are damaged.
  @Test(arguments: [
    [[0, 1], [2]], [[1, 0], [2, 3], [4, 5]], [[0, 6], [1], [2]], [[0, 0], [1], [2]],
  ])
  func listsThatCannotBeAreRefused(lists: [[Int32]]) throws {
    let geometry = try SplitGeometry(width: 6, experts: 3, topK: 1, shared: 0, form: .copied)
    #expect(throws: ConstructionError.self) {
      try NeuronSplit(copying: geometry, redrawn: lists)
    }
    let cut = try SplitGeometry(width: 6, experts: 3, topK: 1, shared: 0)
    #expect(throws: ConstructionError.self) {
      try NeuronSplit(
        shared: [], experts: [[0, 1], [2, 3], [4, 5]], redrawn: [[0], [2], [4]], geometry: cut)
    }
  }
}
