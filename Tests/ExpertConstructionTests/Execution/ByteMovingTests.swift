import Formats
import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct ByteMovingTests {
  /// Against index arithmetic on single bytes, for usual and odd element sizes.
  @Test(arguments: [1, 2, 3, 4, 8])
  func gatherEqualsTheNaiveOneAndScatterUndoesIt(elementSize: Int) {
    var random = RandomStream(seed: UInt64(elementSize))
    for _ in 0..<8 {
      let rows = 1 + random.index(below: 5)
      let width = 1 + random.index(below: 17)
      let count = 1 + random.index(below: width)
      let neurons = (0..<width).map { Int32($0) }.shuffled(using: &random).prefix(count).map { $0 }
      let dense = (0..<rows * width * elementSize).map { _ in UInt8(random.index(below: 256)) }
      var columns = [UInt8](repeating: 0, count: rows * count * elementSize)
      dense.withUnsafeBytes { source in
        columns.withUnsafeMutableBytes {
          NeuronGather.columns(
            neurons, width: width, elementSize: elementSize, from: source, into: $0)
        }
      }
      var expected: [UInt8] = []
      for row in 0..<rows {
        for neuron in neurons {
          let start = (row * width + Int(neuron)) * elementSize
          expected += dense[start..<start + elementSize]
        }
      }
      #expect(columns == expected)
      var restored = dense.map { ~$0 }
      columns.withUnsafeBytes { source in
        restored.withUnsafeMutableBytes {
          NeuronGather.scatterColumns(
            neurons, width: width, elementSize: elementSize, from: source, into: $0)
        }
      }
      for (index, byte) in restored.enumerated() {
        let isMoved = neurons.contains(Int32(index / elementSize % width))
        #expect(byte == (isMoved ? dense[index] : ~dense[index]))
      }
      // The same bytes seen as [width, rows·elementSize]: whole rows move.
      let rowBytes = rows * elementSize
      var gathered = [UInt8](repeating: 0, count: count * rowBytes)
      dense.withUnsafeBytes { source in
        gathered.withUnsafeMutableBytes {
          NeuronGather.rows(neurons, rowBytes: rowBytes, from: source, into: $0)
        }
      }
      #expect(
        gathered == neurons.flatMap { dense[Int($0) * rowBytes..<(Int($0) + 1) * rowBytes] })
    }
  }

  @Test func brainFloatProductsRoundToNearestEven() {
    // 1.0078125 (0x3f81) · 3 = 3.0234375 lies between 0x4041 and 0x4042, at a tie: even wins.
    var values: [UInt16] = [0x3f81, 0x3f80, 0x0000, 0xbf80]
    let finite = values.withUnsafeMutableBytes { StoredElements.multiply($0, .bf16, by: 3) }
    #expect(finite)
    #expect(values == [0x4042, 0x4040, 0x0000, 0xc040])
    var large: [UInt16] = [0x7f7f]
    #expect(!large.withUnsafeMutableBytes { StoredElements.multiply($0, .bf16, by: 2) })
  }

  @Test func nonFiniteValuesAreSeenInEveryType() {
    func check(_ bytes: [UInt8], _ type: ElementType) -> Bool {
      let buffer = ByteBuffer(bytes.count)
      buffer.slice(0..<bytes.count).copyBytes(from: bytes)
      return StoredElements.areFinite(UnsafeRawBufferPointer(buffer.slice(0..<bytes.count)), type)
    }
    #expect(check([0, 0, 0x7f, 0x7f], .bf16))
    #expect(!check([0, 0, 0x80, 0x7f], .bf16))
    #expect(!check([0, 0, 0xc0, 0xff], .bf16))
    #expect(check([0xff, 0x7b], .f16))
    #expect(!check([0x00, 0xfc], .f16))
    #expect(!check([0, 0, 0x80, 0xff], .f32))
    #expect(!check([0, 0, 0, 0, 0, 0, 0xf0, 0x7f], .f64))
  }

  @Test func aWorkerKeepsOrderAndReportsTheFirstFailure() throws {
    struct Failure: Error, Equatable { var number: Int }
    final class Log: @unchecked Sendable { var entries: [Int] = [] }
    let log = Log()
    let worker = try BackgroundWorker()
    defer { worker.stop() }
    for index in 0..<5 { worker.submit { log.entries.append(index) } }
    try worker.drain()
    #expect(log.entries == [0, 1, 2, 3, 4])
    worker.submit { throw Failure(number: 1) }
    worker.submit { log.entries.append(9) }
    #expect(throws: Failure(number: 1)) { try worker.drain() }
    worker.submit { log.entries.append(10) }
    #expect(throws: Failure(number: 1)) { try worker.drain() }
    #expect(log.entries == [0, 1, 2, 3, 4])
  }
}
