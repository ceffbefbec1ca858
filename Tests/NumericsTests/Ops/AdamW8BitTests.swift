import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct AdamW8BitTests {
  /// A parameter of zeros with its moments, at the first step unless these are filled.
  private struct State {
    let value: Tensor
    let moment1: QuantizedMoment
    let moment2: QuantizedMoment

    init(_ value: Tensor, in context: Context) {
      func moment() -> QuantizedMoment {
        QuantizedMoment(
          codes: context.zeros([value.count], .u8),
          scales: context.zeros([QuantizedMoment.scaleCount(value.count)]))
      }
      (self.value, moment1, moment2) = (value, moment(), moment())
    }

    func step(
      _ gradient: Tensor, step: Int = 1, rate: Double = 0, betas: (Double, Double) = (0, 0),
      epsilon: Double = 1e-8, decay: Double = 0, rounding: UInt64 = 1, in context: Context
    ) {
      context.adamW8Bit(
        value: value, gradient: gradient, moment1: moment1, moment2: moment2, step: step,
        learningRate: rate, beta1: betas.0, beta2: betas.1, epsilon: epsilon, weightDecay: decay,
        rounding: rounding)
    }
  }

  private func bytes(_ tensor: Tensor, _ context: Context) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: tensor.byteCount) { buffer, count in
      context.readBytes(tensor, into: UnsafeMutableRawBufferPointer(buffer))
      count = tensor.byteCount
    }
  }

  /// With betas of 0 the moments are the gradient and its square: what comes back is rounding alone.
  private func quantized(_ gradient: [Float], _ context: Context) -> (m: [Float], v: [Float]) {
    let state = State(context.zeros([gradient.count]), in: context)
    state.step(context.tensor(gradient, [gradient.count]), in: context)
    return (context.readSigned(state.moment1), context.readUnsigned(state.moment2))
  }

  @Test func mapsRiseFromZeroToOneOverSevenDecades() {
    for (map, count, least) in [
      (DynamicMap.signed, 129, 0.55e-6), (DynamicMap.unsigned, 256, 0.325e-6),
    ] {
      let values = map.magnitudes
      #expect(values.count == count && values.first == 0 && values.last == 1)
      #expect(zip(values, values.dropFirst()).allSatisfy { $0 < $1 })
      #expect(abs(Double(values[1]) - least) < 1e-12)
    }
    #expect(DynamicMap.signed[127] == 0 && DynamicMap.signed[255] == 1)
    #expect(DynamicMap.signed[0] == -DynamicMap.signed.magnitudes[127])
    #expect(DynamicMap.unsigned[0] == 0 && DynamicMap.unsigned[255] == 1)
  }

  @Test func valuesComeBackAsTheNearestOfTheMap() throws {
    for (name, context) in try cpuVariants() {
      var random = RandomStream(seed: 4)
      // Every decade of the map and some beyond it, in both signs.
      let gradient = (0..<1000).map { _ in
        Float(pow(10, -9 * random.uniform())) * (random.uniform() < 0.5 ? -1 : 1)
      }
      let (m, v) = quantized(gradient, context)
      for start in stride(from: 0, to: gradient.count, by: QuantizedMoment.blockSize) {
        let block = start..<min(gradient.count, start + QuantizedMoment.blockSize)
        let largest = block.map { abs(gradient[$0]) }.max() ?? 0
        for index in block {
          let scaled = Double(gradient[index]) / Double(largest)
          let signed = (0...255).map { Double(DynamicMap.signed[UInt8($0)]) }
          let best = signed.map { abs($0 - scaled) }.min() ?? 0
          #expect(abs(abs(Double(m[index] / largest) - scaled) - best) < 1e-6, "\(name) \(index)")
          let square = scaled * scaled
          // Zero is not for what is above zero.
          let unsigned = (1...255).map { Double(DynamicMap.unsigned[UInt8($0)]) }
          let nearest = unsigned.map { abs($0 - square) }.min() ?? 0
          let found = Double(v[index] / (largest * largest))
          #expect(abs(abs(found - square) - nearest) < 1e-6, "\(name) \(index)")
          #expect(found > 0)
        }
      }
    }
  }

  @Test func blocksOfZerosAndOfOneLargeValue() throws {
    let context = try Context(device: .cpu(threads: 1))
    var gradient = [Float](repeating: 0, count: 256 * 3)
    for index in 256..<512 { gradient[index] = 1e-3 }
    gradient[300] = 1e4
    gradient[700] = -3
    let (m, v) = quantized(gradient, context)
    #expect(m[0..<256].allSatisfy { $0 == 0 } && v[0..<256].allSatisfy { $0 == 0 })
    #expect(m[300] == 1e4 && v[300] == 1e8)
    // Below the map's smallest value a first moment is lost; a second moment is kept from being so.
    #expect(m[301] == 0 && v[301] > 0 && v[301] < 1e8 * 1e-6)
    #expect(abs(m[700] + 3) < 0.03 && v[700] == 9)
    #expect(m[701] == 0 && v[701] == 0)
    // A block that becomes zero forgets its scale; one too small to divide by counts as zero.
    let state = State(context.zeros([256]), in: context)
    for value: Float in [1, 0, 1e-38] {
      state.step(context.tensor([Float](repeating: value, count: 256), [256]), in: context)
      #expect(context.read(state.moment1.scales) == [value == 1 ? 1 : 0])
    }
  }

  @Test(arguments: [DType.f32, .f64, .bf16]) func agreesWithAPlainLoop(dtype: DType) throws {
    for (name, context) in try cpuVariants() {
      let (count, betas, rate, decay) = (2500, (0.9, 0.99), 0.01, 0.1)
      let state = State(context.randomTensor([count], dtype, seed: 1), in: context)
      for step in 1...4 {
        let gradient = context.randomTensor(
          [count], dtype.statistic, seed: UInt64(10 + step))
        let before = context.readDoubles(state.value)
        var m = context.readSigned(state.moment1).map(Double.init)
        var v = context.readUnsigned(state.moment2).map(Double.init)
        state.step(
          gradient, step: step, rate: rate, betas: betas, decay: decay, in: context)
        var wanted = before
        for (i, g) in context.readDoubles(gradient).enumerated() {
          m[i] = betas.0 * m[i] + (1 - betas.0) * g
          v[i] = betas.1 * v[i] + (1 - betas.1) * g * g
          let root = (v[i] / (1 - pow(betas.1, Double(step)))).squareRoot()
          wanted[i] -= rate * decay * before[i]
          wanted[i] -= rate * m[i] / (1 - pow(betas.0, Double(step))) / (root + 1e-8)
        }
        let tolerance = dtype == .f64 ? 1e-7 : dtype == .f32 ? 1e-6 : 4e-3
        #expect(relativeError(context.readDoubles(state.value), wanted) < tolerance, "\(name)")
        // Half of the widest gap between values that are not tiny is 7 % of the value.
        #expect(relativeError(context.readSigned(state.moment1), m) < 0.02, "\(name)")
        #expect(relativeError(context.readUnsigned(state.moment2), v) < 0.02, "\(name)")
      }
    }
  }

  @Test func randomRoundingIsRightOnAverage() throws {
    let context = try Context(device: .cpu(threads: 2))
    let count = 1 << 16
    // Steps of exactly η towards larger values, far below the gap of 2⁻⁷ above 1.
    let gradient = context.tensor([Float](repeating: -1, count: count), [count])
    for rate in [0.0005, 0.002, 0.006] {
      let state = State(
        context.tensor([Float](repeating: 1, count: count), [count], .bf16), in: context)
      state.step(gradient, rate: rate, epsilon: 1e-30, in: context)
      let values = context.readDoubles(state.value)
      #expect(Set(values) == [1, 1.0078125])
      let mean = values.reduce(0, +) / Double(count)
      let share = rate * 128
      let deviation = 0.0078125 * (share * (1 - share) / Double(count)).squareRoot()
      #expect(abs(mean - 1 - rate) < 5 * deviation, "\(mean) for \(rate)")
    }
  }

  @Test func randomBitsDependOnKeyStepAndElementOnly() throws {
    func run(_ threads: Int, rounding: UInt64 = 5, step: Int = 1) throws -> [UInt8] {
      let context = try Context(device: .cpu(threads: threads))
      let count = 300_001
      let state = State(
        context.tensor([Float](repeating: 1, count: count), [count], .bf16), in: context)
      state.step(
        context.tensor([Float](repeating: -1, count: count), [count]), step: step, rate: 0.004,
        rounding: rounding, in: context)
      return bytes(state.value, context)
    }
    let one = try run(1)
    #expect(try run(3) == one)
    for other in [try run(1, rounding: 6), try run(1, step: 2), try run(1, rounding: 5 << 32)] {
      // Independent draws at one half: about half of them differ.
      let differing = zip(one, other).count { $0 != $1 }
      #expect(differing > 100_000 && differing < 200_000, "\(differing)")
    }
  }
}
