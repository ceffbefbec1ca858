import Numerics
import TestSupport
import Testing

@Suite struct ActivationEnergyTests {
  @Test(arguments: [(1, 1), (63, 5), (65, 130), (200, 33)])
  func agreesWithTheDefinition(tokens: Int, width: Int) throws {
    for (name, context) in try cpuVariants() {
      let h = context.randomTensor([tokens, width], .f32, seed: 1)
      let weights = context.randomTensor([width], .f32, seed: 2)
      let energy = context.empty([tokens, width])
      let sums = context.tensor([Double](repeating: 2, count: width), [width])
      context.weightedEnergy(h, weights: weights, into: energy, sums: sums)
      let (values, scales) = (context.readDoubles(h), context.readDoubles(weights))
      let weighted = values.indices.map { abs(values[$0]) * scales[$0 % width] }
      let expected = weighted.map { $0 * $0 }
      #expect(relativeError(context.read(energy), expected) < 1e-6, "\(name)")
      let totals = (0..<width).map { column in
        2 + stride(from: column, to: weighted.count, by: width).reduce(0) { $0 + weighted[$1] }
      }
      #expect(relativeError(context.read(sums), totals) < 1e-6, "\(name)")

      let columns = (0..<Int32(width)).reversed().filter { $0 % 2 == 0 }
      let shares = context.energyShares(energy, of: context.tensor(columns, [columns.count]))
      #expect(shares.shape == [columns.count, tokens])
      let perToken = (0..<tokens).map { token in
        expected[token * width..<(token + 1) * width].reduce(0, +)
      }
      let wanted = columns.flatMap { column in
        (0..<tokens).map { expected[$0 * width + Int(column)] / perToken[$0] }
      }
      #expect(relativeError(context.read(shares), wanted) < 1e-5, "\(name)")

      let roots = context.read(context.unitRoots(shares))
      for row in 0..<columns.count {
        let length = roots[row * tokens..<(row + 1) * tokens].reduce(0) { $0 + $1 * $1 }
        #expect(abs(length - 1) < 1e-4, "\(name)")
      }
    }
  }

  @Test func nothingSharesNothing() throws {
    let context = try Context()
    let zeros = context.zeros([3, 4])
    let shares = context.energyShares(zeros, of: context.tensor([Int32](0..<4), [4]))
    #expect(context.read(shares).allSatisfy { $0 == 0 })
    #expect(context.read(context.unitRoots(zeros)).allSatisfy { $0 == 0 })
    let empty = context.empty([0, 4])
    #expect(context.energyShares(empty, of: context.tensor([Int32](0..<4), [4])).count == 0)
  }
}
