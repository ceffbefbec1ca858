import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct RoPETests {
  private func frequencies(_ half: Int) -> [Float] {
    (0..<half).map { Float(pow(10_000, -Double($0) / Double(half))) }
  }

  @Test(arguments: [(1, 1, 1), (5, 3, 4), (67, 2, 33)])
  func gradientsAgreeWithCentralDifferences(tokens: Int, heads: Int, half: Int) throws {
    let context = try Context()
    let inverse = context.tensor(frequencies(half), [half])
    let positions = context.tensor((0..<Int32(tokens)).map { $0 * 3 }, [tokens])
    let x = Parameter("x", context.randomTensor([tokens, heads * 2 * half], .f64, seed: 1))
    let error = gradientDisagreement(context, [x]) { context in
      let once = context.rope(
        x.tensor, positions: positions, inverseFrequencies: inverse, heads: heads)
      return context.probe(context.add(once, x.tensor))
    }
    #expect(error < 1e-7)
  }

  /// The reference computes the angle in single precision, then its sine and cosine.
  @Test(arguments: [1, 3, 16, 37])
  func everyInstructionSetTurnsBySinglePrecisionAngles(half: Int) throws {
    let positions: [Int32] = [0, 1, 2, 511, 4095, 131_071, 2_000_003]
    let inverse = frequencies(half)
    for (name, context) in try cpuVariants() {
      let x = context.randomTensor([positions.count, 2 * half], .f32, seed: 2)
      let values = context.read(x)
      var expected: [Double] = []
      for (row, position) in positions.enumerated() {
        let x = values[row * 2 * half..<(row + 1) * 2 * half].map(Double.init)
        let angles = inverse.map { Double(Float(position) * $0) }
        expected += (0..<half).map { x[$0] * cos(angles[$0]) - x[$0 + half] * sin(angles[$0]) }
        expected += (0..<half).map { x[$0 + half] * cos(angles[$0]) + x[$0] * sin(angles[$0]) }
      }
      let y = context.rope(
        x, positions: context.tensor(positions, [positions.count]),
        inverseFrequencies: context.tensor(inverse, [half]), heads: 1)
      #expect(relativeError(context.read(y), expected) < 2e-7, "\(name)")
    }
  }

  @Test func pairsLieHalfAHeadApart() throws {
    let context = try Context()
    let x = context.tensor([1, 0, 0, 0] as [Float], [1, 4])
    let y = context.rope(
      x, positions: context.tensor([1] as [Int32], [1]),
      inverseFrequencies: context.tensor([0.5, 0.25] as [Float], [2]), heads: 1)
    #expect(relativeError(context.read(y), [cos(0.5), 0, sin(0.5), 0]) < 1e-6)
  }
}
