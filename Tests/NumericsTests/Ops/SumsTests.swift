import Numerics
import TestSupport
import Testing

@Suite struct SumsTests {
  @Test(arguments: [(1, 1), (0, 3), (65, 63), (1030, 40)], [DType.f32, .bf16, .f16, .f64])
  func agreeWithDouble(size: (Int, Int), dtype: DType) throws {
    let (rows, columns) = size
    for (name, context) in try cpuVariants() {
      let x = context.randomTensor([rows, columns], dtype, seed: 3)
      let values = context.readDoubles(x)
      for squared in [false, true] {
        var (byRow, byColumn) = (
          [Double](repeating: 0, count: rows), [Double](repeating: 0, count: columns)
        )
        for (index, value) in values.enumerated() {
          let term = squared ? value * value : value
          byRow[index / columns] += term
          byColumn[index % columns] += term
        }
        let sums = context.rowSums(x, squared: squared)
        #expect(sums.dtype == dtype.statistic && sums.shape == [rows])
        #expect(relativeError(context.read(sums), byRow) < 1e-5, "\(name)")
        let columnSums = context.columnSums(x, squared: squared)
        #expect(columnSums.dtype == .f64)
        #expect(relativeError(context.read(columnSums), byColumn) < 1e-6, "\(name)")
      }
    }
  }

  /// A sum in Double does not lose what a running sum in Float would.
  @Test func columnsAreSummedInDouble() throws {
    let context = try Context()
    var values = [Float](repeating: 1e-3, count: 100_000)
    values[0] = 1e5
    let sum = context.readDoubles(context.columnSums(context.tensor(values, [values.count, 1])))[0]
    #expect(abs(sum - (1e5 + 99_999 * Double(Float(1e-3)))) < 1e-6)
  }

  @Test func indicatorsNameColumns() throws {
    let context = try Context()
    let names = context.tensor([0, 2, -1, 3, 1, 1] as [Int32], [3, 2])
    let expected: [Float] = [2, 0, 2, 0, 0, 0, 0, 2, 0]
    #expect(context.read(context.indicator(of: names, columns: 3, value: 2)) == expected)
  }
}
