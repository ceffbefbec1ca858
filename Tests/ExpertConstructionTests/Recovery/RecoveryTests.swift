import Glibc
import Numerics
import Testing

@testable import ExpertConstruction

@Suite struct RecoveryTests {
  private let geometry: SplitGeometry
  private let context: Context

  init() throws {
    geometry = try SplitGeometry(width: 24, experts: 5, topK: 2, shared: 1)
    context = try Context(device: .cpu(threads: 2))
  }

  /// A layer with a split and a router of noise.
  private func routed(
    rule: CombinationRule = .gained, scale: Double = 1, tokens: Int = 300
  ) throws -> RoutedLayer {
    let layer = randomLayer(context, geometry: geometry, hidden: 8, tokens: tokens)
    let split = try RandomStrategy().split(layer)
    var random = RandomStream(seed: 9)
    let router = Router(
      weight_ED: random.normal(geometry.experts * 8), bias_E: random.normal(geometry.experts))
    return RoutedLayer(
      layer, split, router,
      MixtureBlock(geometry: geometry, rule: rule, scale: scale, hasRouterBias: true))
  }

  /// The mixture by its definition, expert after expert, in Double: its output and the dense one,
  /// `[T][D]`, with each unit's part `[U][T][D]`.
  private func reference(_ routed: RoutedLayer) throws -> (
    parts: [[[Double]]], dense: [[Double]]
  ) {
    let weights = routed.layer.weights
    let (gate, up, down) = (
      context.readDoubles(weights.gate_ID), context.readDoubles(weights.up_ID),
      context.readDoubles(weights.down_DI)
    )
    let units = routed.split.experts + [routed.split.shared]
    var parts = [[[Double]]](repeating: [], count: units.count)
    var dense: [[Double]] = []
    try routed.forEachBatch { x_TD, routing, _ in
      let x = context.readDoubles(x_TD)
      let chosen = context.readIntegers(routing.experts_TK)
      let shares = context.readDoubles(routing.weights_TK)
      let topK = routing.experts_TK.columns
      for token in 0..<x_TD.rows {
        func dot(_ matrix: [Double], _ row: Int) -> Double {
          (0..<8).reduce(0) { $0 + matrix[row * 8 + $1] * x[token * 8 + $1] }
        }
        let hidden = (0..<24).map { neuron in
          let value = dot(gate, neuron)
          return value / (1 + exp(-value)) * dot(up, neuron)
        }
        func written(_ neurons: [Int32], _ weight: Double) -> [Double] {
          (0..<8).map { channel in
            neurons.reduce(0) { $0 + weight * down[channel * 24 + Int($1)] * hidden[Int($1)] }
          }
        }
        for (unit, neurons) in units.enumerated() {
          let slot = (0..<topK).first { chosen[token * topK + $0] == Int32(unit) }
          let weight = unit == units.count - 1 ? 1 : slot.map { shares[token * topK + $0] } ?? 0
          parts[unit].append(written(neurons, weight))
        }
        dense.append(written((0..<24).map { $0 }, 1))
      }
    }
    return (parts, dense)
  }

  /// What the mixture misses when unit `u` is scaled by `factors[u]`.
  private func missed(
    _ parts: [[[Double]]], _ dense: [[Double]], factors: [Double], bias: [Double]? = nil
  ) -> Double {
    var (error, energy) = (0.0, 0.0)
    for token in dense.indices {
      for channel in 0..<8 {
        var value = bias?[channel] ?? 0
        for unit in parts.indices { value += factors[unit] * parts[unit][token][channel] }
        error += (value - dense[token][channel]) * (value - dense[token][channel])
        energy += dense[token][channel] * dense[token][channel]
      }
    }
    return error / energy
  }

  @Test(arguments: [
    (CombinationRule.gained, 1.0), (.softmax, 5.0), (.renormalizedSoftmax, 2.0),
  ])
  func theMissedShareFollowsItsDefinition(_ rule: CombinationRule, _ scale: Double) throws {
    let routed = try routed(rule: rule, scale: scale)
    let (parts, dense) = try reference(routed)
    let ones = [Double](repeating: 1, count: parts.count)
    let expected = missed(parts, dense, factors: ones)
    #expect(abs(try routed.missedShare(nil) - expected) < 1e-5 * expected)
  }

  /// Every recovery misses less than no recovery does.
  @Test(arguments: [
    RecoveryName.scale, .affine, .refitShared, .refit,
  ])
  func leastSquaresNeverMissMore(_ name: RecoveryName) throws {
    let routed = try routed()
    let recovery = try #require(name.make())
    let recovered = try recovery.recover(routed)
    #expect((recovered.bias_D != nil) == recovery.addsBias)
    let (before, after) = (try routed.missedShare(nil), try routed.missedShare(recovered))
    #expect(after < 0.999 * before, "\(name): \(before) to \(after)")
  }

  /// No step along any unit's factor does better than the solution, up to the ridge.
  @Test func scalesAreTheLeastSquares() throws {
    let routed = try routed()
    let recovered = try ScaleRecovery().recover(routed)
    let dense = context.read(routed.layer.weights.down_DI)
    let units = routed.split.experts + [routed.split.shared]
    let factors = units.map { Double(recovered.down_DI[Int($0[0])] / dense[Int($0[0])]) }
    for (unit, factor) in zip(units, factors) {
      for channel in 0..<8 {
        for neuron in unit {
          let index = channel * 24 + Int(neuron)
          #expect(abs(Double(recovered.down_DI[index]) - factor * Double(dense[index])) < 1e-5)
        }
      }
    }
    let (parts, target) = try reference(routed)
    let energy = target.joined().reduce(0) { $0 + $1 * $1 }
    let unitEnergy = parts.joined().joined().reduce(0) { $0 + $1 * $1 } / Double(units.count)
    func loss(_ factors: [Double]) -> Double {
      missed(parts, target, factors: factors) * energy
        + 0.01 * unitEnergy * factors.reduce(0) { $0 + ($1 - 1) * ($1 - 1) }
    }
    let best = loss(factors)
    for unit in units.indices {
      for step in [-0.02, 0.02] {
        var moved = factors
        moved[unit] += step
        #expect(loss(moved) > best)
      }
    }
  }

  @Test func affineCorrectsTheMean() throws {
    let routed = try routed()
    let bias = try #require(try AffineRecovery().recover(routed).bias_D).map(Double.init)
    let (parts, dense) = try reference(routed)
    for channel in 0..<8 {
      let mean = dense.indices.reduce(0.0) { sum, token in
        sum + dense[token][channel] - parts.reduce(0) { $0 + $1[token][channel] }
      }
      #expect(abs(bias[channel] - mean / Double(dense.count)) < 1e-5)
    }
  }

  @Test func alignedChannelsHaveTheDenseMomentsWhateverTheWeightsSumTo() throws {
    let routed = try routed(rule: .renormalizedSoftmax, scale: 4)
    let recovered = try AlignRecovery().recover(routed)
    let down = context.tensor(recovered.down_DI, [8, 24])
    let bias = context.tensor(try #require(recovered.bias_D), [8])
    let (activations, _, target) = try routed.record()
    let output = context.add(
      context.product(activations, down, transposeB: true), bias: bias)
    func moments(_ x: Tensor) -> [(mean: Double, deviation: Double)] {
      let values = context.readDoubles(x)
      return (0..<8).map { channel in
        let column = stride(from: channel, to: values.count, by: 8).map { values[$0] }
        let mean = column.reduce(0, +) / Double(column.count)
        let variance = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        return (mean, (variance / Double(column.count)).squareRoot())
      }
    }
    for (own, dense) in zip(moments(output), moments(target)) {
      #expect(abs(own.mean - dense.mean) < 1e-4)
      #expect(abs(own.deviation - dense.deviation) < 1e-4 * dense.deviation)
    }
  }

  /// Only shared columns change, and no other shared matrix does better.
  @Test func theSharedPartIsRefittedAlone() throws {
    let routed = try routed()
    let recovered = try RefitRecovery(sharedOnly: true).recover(routed)
    let dense = context.read(routed.layer.weights.down_DI)
    let shared = Set(routed.split.shared.map { Int($0) })
    for index in dense.indices where !shared.contains(index % 24) {
      #expect(recovered.down_DI[index] == dense[index])
    }
    let best = try routed.missedShare(recovered)
    var random = RandomStream(seed: 4)
    var moved = recovered
    for index in dense.indices where shared.contains(index % 24) {
      moved.down_DI[index] += random.normal(1)[0] * 0.05
    }
    #expect(try routed.missedShare(moved) > best)
    #expect(try routed.missedShare(RefitRecovery(sharedOnly: false).recover(routed)) < best)
  }

  @Test func whatCannotBeRecoveredIsRefused() throws {
    let without = try routed(tokens: 0)
    let error = #expect(throws: ConstructionError.self) {
      try ScaleRecovery().recover(without)
    }
    #expect(error?.description.contains("--data FILE") == true)
  }
}
