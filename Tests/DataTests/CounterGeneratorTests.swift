import Testing

@testable import Data

@Suite struct CounterGeneratorTests {
  /// The known answers published with the Random123 library for Philox4x32-10.
  @Test func knownAnswers() {
    let zero = CounterGenerator(seed: 0)
    #expect(
      zero.block(SIMD4(repeating: 0))
        == SIMD4(0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = CounterGenerator(seed: .max)
    #expect(
      ones.block(SIMD4(repeating: .max))
        == SIMD4(0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    let pi = CounterGenerator(seed: 0x299f_31d0_a409_3822)
    #expect(
      pi.block(SIMD4(0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344))
        == SIMD4(0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test(arguments: [1, 2, 3, 4, 5, 17, 64, 1000, 4097])
  func permutes(count: Int) {
    let generator = CounterGenerator(seed: 5)
    let permutation = IndexPermutation(count: count, generator: generator, stream: 2)
    let images = (0..<count).map { permutation[$0] }
    #expect(images.sorted() == Array(0..<count))
    if count >= 64 {
      #expect(images != Array(0..<count))
      let other = IndexPermutation(count: count, generator: generator, stream: 3)
      #expect(images != (0..<count).map { other[$0] })
    }
  }
}
