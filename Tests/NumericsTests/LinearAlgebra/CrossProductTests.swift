import Numerics
import TestSupport
import Testing

@Suite struct CrossProductTests {
  /// Rows below, at and above one block.
  @Test(arguments: [0, 1, 1024, 1500])
  func agreesWithTheDefinition(rows: Int) throws {
    for (name, context) in try cpuVariants() {
      let a = context.randomTensor([rows, 5], .f32, seed: 1)
      let b = context.randomTensor([rows, 3], .f32, seed: 2)
      let (x, y) = (context.readDoubles(a), context.readDoubles(b))
      var expected = [Double](repeating: 0, count: 15)
      for row in 0..<rows {
        for m in 0..<5 { for n in 0..<3 { expected[m * 3 + n] += x[row * 5 + m] * y[row * 3 + n] } }
      }
      let product = context.crossProduct(a, b)
      #expect(product.dtype == .f64 && product.shape == [5, 3])
      #expect(relativeError(context.read(product), expected) < 1e-5, "\(name)")
    }
  }
}
