import Numerics
import TestSupport
import Testing

@Suite struct CholeskyFactorTests {
  /// Orders around one, two and three blocks, and solutions that several tasks share.
  @Test(arguments: [1, 255, 256, 257, 600], [1, 3])
  func solvesWhatItFactors(order: Int, threads: Int) throws {
    let context = try Context(device: .cpu(threads: threads))
    let matrix = context.readDoubles(positive(order, context))
    let factor = try CholeskyFactor(matrix, order: order, pool: ThreadPool(threads: threads))
    let count = 9
    let solution = context.readDoubles(context.randomTensor([count, order], .f64, seed: 8))
    let sides = context.product(
      context.tensor(solution, [count, order]), context.tensor(matrix, [order, order]))
    let found = factor.solve(context.readDoubles(sides), count: count)
    let difference = zip(found, solution).reduce(0.0) { max($0, abs($1.0 - $1.1)) }
    #expect(difference < 1e-9)
  }

  @Test func threadsChangeNothing() throws {
    let context = try Context()
    let matrix = context.readDoubles(positive(600, context))
    let side = context.readDoubles(context.randomTensor([600], .f64, seed: 9))
    func solution(_ threads: Int) throws -> [Double] {
      try CholeskyFactor(matrix, order: 600, pool: ThreadPool(threads: threads))
        .solve(side, count: 1)
    }
    #expect(try solution(1) == solution(3))
  }

  @Test(arguments: [1, 200, 500])
  func namesTheMinorThatIsNotPositive(minor: Int) throws {
    let context = try Context()
    var matrix = context.readDoubles(positive(600, context))
    matrix[(minor - 1) * 601] = -1
    let error = #expect(throws: NotPositiveDefinite.self) {
      _ = try CholeskyFactor(matrix, order: 600, pool: ThreadPool(threads: 2))
    }
    #expect(error?.leadingMinor == minor)
  }

  private func positive(_ order: Int, _ context: Context) -> Tensor {
    let x = context.randomTensor([order + 3, order], .f64, seed: 7)
    let ridge = (0..<order * order).map { $0 % (order + 1) == 0 ? 0.5 : 0.0 }
    return context.add(context.crossProduct(x, x), context.tensor(ridge, [order, order]))
  }
}
