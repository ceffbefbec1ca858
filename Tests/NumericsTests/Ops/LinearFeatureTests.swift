import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct LinearFeatureTests {
  private typealias Body = (Context, [Tensor]) -> Tensor

  /// Shapes of the inputs and what is made of them.
  private static func operation(_ name: String) -> (shapes: [[Int]], body: Body) {
    let positions: [Int32] = [0, 1, 2, 3, 0, 1, 700]
    func lrpe(_ context: Context, _ x: [Tensor]) -> Tensor {
      context.lrpe(x[0], theta: x[1], positions: context.tensor(positions, [7]), heads: 3)
    }
    switch name {
    case "softmax": return ([[7, 33]], { $0.softmax($1[0]) })
    case "repeat": return ([[7, 15]], { $0.repeatHeads($1[0], dim: 5, times: 4) })
    case "repeat scalars": return ([[7, 3]], { $0.repeatHeads($1[0], dim: 1, times: 40) })
    case "lrpe": return ([[7, 15], [3, 5]], lrpe)
    case "shared lrpe": return ([[7, 15], [1, 5]], lrpe)
    case "gate": return ([[40, 33]], { $0.decayGate($1[0], temperature: 3).logDecay })
    case "bounds": return ([[5, 33]], { $0.lowerBound($1[0], row: 3) })
    case "scaled": return ([[7, 15]], { $0.scaled($1[0], by: -2.5) })
    default:
      let activation = Activation(rawValue: name) ?? .none
      return (
        [[40, 33], [40, 33]], { $0.gated($1[1], by: $0.activated($1[0], activation), activation) }
      )
    }
  }

  private static let names =
    [
      "softmax", "repeat", "repeat scalars", "lrpe", "shared lrpe", "gate", "bounds", "scaled",
    ] + Activation.allCases.map(\.rawValue)

  @Test(arguments: names)
  func gradientsAgreeWithCentralDifferences(name: String) throws {
    let context = try Context(device: .cpu(threads: 3), poisoned: true)
    let (shapes, body) = Self.operation(name)
    let inputs = shapes.enumerated().map { index, shape in
      Parameter("\(index)", context.randomTensor(shape, .f64, seed: UInt64(index + 1)))
    }
    // An angle's third derivative grows with the position's cube: a difference needs a smaller step.
    let step = name.contains("lrpe") ? 1e-6 : 1e-5
    let error = gradientDisagreement(context, inputs, step: step) { context in
      context.probe(body(context, inputs.map(\.tensor)))
    }
    #expect(error < 2e-6)
  }

  @Test(arguments: names)
  func everyInstructionSetAgreesWithDouble(name: String) throws {
    let (shapes, body) = Self.operation(name)
    func results(_ context: Context, _ dtype: DType) -> [[Double]] {
      let inputs = shapes.enumerated().map { index, shape in
        let values = context.readDoubles(
          context.randomTensor(shape, .f32, seed: UInt64(index + 1)))
        return Parameter("\(index)", context.tensor(values, shape, dtype), isTrainable: true)
      }
      var output: [Double] = []
      context.recording {
        let y = body(context, inputs.map(\.tensor))
        output = context.readDoubles(y)
        return context.probe(y)
      }
      return [output] + inputs.map { $0.gradient.map(context.readDoubles) ?? [] }
    }
    let reference = results(try Context(), .f64)
    for (variant, context) in try cpuVariants() {
      for (found, expected) in zip(results(context, .f32), reference) {
        #expect(found.count == expected.count)
        let largest = expected.map { abs($0) }.max() ?? 0
        let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
        // Angles of hundreds of radians round in single precision.
        let tolerance = name.contains("lrpe") ? 3e-4 : 3e-6
        #expect(worst <= tolerance * max(1, largest), "\(variant): \(worst) of \(largest)")
      }
    }
  }

  @Test(arguments: [false, true])
  func aBoundedGateWithItsRestHasItsGradients(hasBound: Bool) throws {
    let context = try Context(device: .cpu(threads: 2), poisoned: true)
    let x = Parameter("x", context.randomTensor([20, 9], .f64, seed: 1))
    let table = Parameter("table", context.randomTensor([4, 9], .f64, seed: 2))
    let error = gradientDisagreement(context, [x] + (hasBound ? [table] : [])) { context in
      let gate = context.decayGate(
        x.tensor, lowerBound: hasBound ? context.lowerBound(table.tensor, row: 2) : nil,
        temperature: 1.5, givesRest: true)
      return context.weightedSum([
        (1, context.probe(gate.logDecay)), (1, context.probe(gate.rest ?? x.tensor, seed: 7)),
      ])
    }
    #expect(error < 1e-7)
  }

  @Test func boundsOfAnEqualTableRiseEvenly() throws {
    let context = try Context()
    let table = context.zeros([4, 2], .f64)
    for row in 0..<4 {
      let bound = context.readDoubles(context.lowerBound(table, row: row))
      #expect(bound.allSatisfy { abs($0 - Double(row) / 4) < 1e-15 })
    }
  }

  /// Gates all but open and all but closed.
  @Test func extremeGatesStayFinite() throws {
    for (name, context) in try cpuVariants() {
      let values: [Float] = [-1e4, -200, -80, -1, 0, 1, 80, 200, 1e4]
      for bound in [nil, 0, 1e-6, 0.999] as [Float?] {
        let x = Parameter("x", context.tensor(values, [1, 9]), isTrainable: true)
        let bounds = bound.map {
          Parameter("b", context.tensor([Float](repeating: $0, count: 9), [9]), isTrainable: true)
        }
        var numbers: [Float] = []
        context.recording {
          let gate = context.decayGate(x.tensor, lowerBound: bounds?.tensor, givesRest: true)
          let rest = gate.rest ?? x.tensor
          numbers = context.read(gate.logDecay) + context.read(rest)
          let kept = zip(context.read(gate.logDecay), context.read(rest))
          #expect(kept.allSatisfy { abs(exp($0) + $1 - 1) < 1e-6 }, "\(name)")
          return context.weightedSum([(1, context.probe(gate.logDecay)), (1, context.probe(rest))])
        }
        numbers += x.gradient.map(context.read) ?? [.nan]
        numbers += bounds.map { $0.gradient.map(context.read) ?? [.nan] } ?? []
        let areFinite = numbers.allSatisfy(\.isFinite)
        #expect(areFinite, "\(name), bound \(bound.map { "\($0)" } ?? "none")")
      }
    }
  }
}
