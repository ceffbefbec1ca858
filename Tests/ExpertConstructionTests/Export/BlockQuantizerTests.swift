import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct BlockQuantizerTests {
  private func quantize(_ values: [Float]) -> (bytes: [UInt8], isFinite: Bool) {
    var bytes = [UInt8](repeating: 0, count: values.count / 32 * 34)
    let isFinite = bytes.withUnsafeMutableBytes { target in
      values.withUnsafeBufferPointer { BlockQuantizer.quantize($0, into: target) }
    }
    return (bytes, isFinite)
  }

  @Test func aBlockByHand() {
    var values = [Float](repeating: 0, count: 32)
    values[0] = -127
    values[1] = 0.5
    values[2] = 1.4
    values[31] = 126.5
    let (bytes, isFinite) = quantize(values)
    // The step is one: f16 0x3c00; halves round away from zero.
    #expect(isFinite)
    #expect(bytes[0..<2] == [0x00, 0x3c])
    #expect(bytes[2..<5].map { Int8(bitPattern: $0) } == [-127, 1, 1])
    #expect(Int8(bitPattern: bytes[33]) == 127)
    #expect(bytes[5..<33].allSatisfy { $0 == 0 })
  }

  @Test(arguments: [Float(1), 1e-2, 3e4])
  func valuesComeBackWithinTheBound(size: Float) {
    var random = RandomStream(seed: 5)
    let values = random.normal(32 * 64).map { $0 * size }
    let (bytes, isFinite) = quantize(values)
    #expect(isFinite)
    let back = bytes.withUnsafeBytes { BlockQuantizer.values($0) }
    for block in 0..<64 {
      let range = block * 32..<(block + 1) * 32
      let step = values[range].map(abs).max().map { $0 / 127 } ?? 0
      for (given, value) in zip(back[range], values[range]) {
        #expect(abs(given - value) <= step * 0.57)
      }
      // The largest value has the whole range.
      #expect(
        bytes[block * 34 + 2..<block * 34 + 34].contains { abs(Int(Int8(bitPattern: $0))) == 127 })
    }
  }

  @Test func extremes() {
    #expect(quantize([Float](repeating: 0, count: 32)).bytes.allSatisfy { $0 == 0 })
    #expect(!quantize([Float](repeating: 1e10, count: 32)).isFinite)
    let tiny = quantize([Float](repeating: Float(bitPattern: 700), count: 32))
    #expect(tiny.isFinite && tiny.bytes.allSatisfy { $0 == 0 })
  }
}
