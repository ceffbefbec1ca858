import Numerics
import TestSupport
import Testing

@Suite struct EmbeddingTests {
  @Test func gathersRowsOfEveryElementType() throws {
    let context = try Context()
    let values = (0..<15).map { Float($0) - 7 }
    let ids = context.tensor([4, 0, 4, 2] as [Int32], [4])
    let expected = [4, 0, 4, 2].flatMap { values[$0 * 3..<$0 * 3 + 3] }
    for dtype in [DType.f32, .f64, .bf16, .f16] {
      let y = context.embedding(ids, weight: context.tensor(values, [5, 3], dtype))
      #expect(y.shape == [4, 3])
      #expect(y.dtype == (dtype == .f64 ? .f64 : .f32))
      #expect(context.read(y) == expected)
    }
  }

  @Test(arguments: [(1, 1), (7, 5), (300, 130)])
  func gradientsAgreeWithCentralDifferences(tokens: Int, columns: Int) throws {
    let context = try Context(device: .cpu(threads: 2))
    var random = RandomStream(seed: 5)
    let ids = (0..<tokens).map { _ in Int32(random.next() % 6) }
    let ids_T = context.tensor(ids, [tokens])
    let weight = Parameter("w", context.randomTensor([6, columns], .f64, seed: 1))
    let error = gradientDisagreement(context, [weight]) { context in
      context.probe(context.embedding(ids_T, weight: weight.tensor))
    }
    #expect(error < 1e-7)
  }
}
