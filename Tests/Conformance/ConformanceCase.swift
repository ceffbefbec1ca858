import Numerics
import TestSupport

/// One operation on one problem, forward and backward, that every device must solve alike.
public struct ConformanceCase: Sendable {
  /// The operation and its sizes.
  public let name: String
  private let body: @Sendable (Trial) -> Void

  init(_ name: String, _ body: @escaping @Sendable (Trial) -> Void) {
    self.name = name
    self.body = body
  }

  /// How an output is compared with the reference's.
  public enum Comparison: Sendable {
    /// By the root mean square of the difference over that of the reference.
    case relative
    /// The same, to what `f32` can tell whatever type activations have.
    case full
    /// All values are equal.
    case exact
    /// Values are numbers of neighbours on a grid. What lies in the middle of two may round either
    /// way: a few may differ by one, none by more.
    case rounded
  }

  /// What came out, by name; the reference is the CPU in Double.
  public typealias Outcome = [(name: String, values: [Double], comparison: Comparison)]

  /// Solves the problem in `context`, with inputs as `element` can hold them.
  ///
  /// - Parameter isReference: Computes in Double on the same rounded inputs.
  public func outcome(
    in context: Context, element: DType, seed: UInt64, isReference: Bool = false
  ) -> Outcome {
    let trial = Trial(context, element: element, seed: seed, isReference: isReference)
    body(trial)
    return trial.outcome
  }

  /// The root mean square.
  private static func size(_ values: [Double]) -> Double {
    (values.reduce(0) { $0 + $1 * $1 } / Double(max(1, values.count))).squareRoot()
  }

  /// The largest relative error of any output, infinite where exact ones differ.
  public static func disagreement(_ found: Outcome, _ expected: Outcome) -> (
    name: String, error: Double
  ) {
    // Where the true value vanishes, as the gradient of a query that sees one key, only rounding is
    // left to compare: it counts against the size of the other outputs. So does that of an output of
    // a few numbers, each of which may be what is left of larger ones that cancel.
    let largest = expected.filter { $0.comparison == .relative }.map { size($0.values) }.max() ?? 0
    guard found.map(\.name) == expected.map(\.name) else { return ("outputs", .infinity) }
    var worst = (name: "", error: 0.0)
    for (a, b) in zip(found, expected) {
      var error = Double.infinity
      if a.values.count == b.values.count, a.values.allSatisfy(\.isFinite) {
        let differences = zip(a.values, b.values).map { $0 - $1 }
        switch a.comparison {
        case .relative, .full:
          let floor = (b.values.count < 16 ? 0.25 : 1e-3) * largest
          error = size(differences) / max(size(b.values), floor, 1e-30)
          if a.comparison == .full, error > 5e-5 { error = .infinity }
        case .exact: error = a.values == b.values ? 0 : .infinity
        case .rounded:
          let isClose =
            differences.allSatisfy { abs($0) <= 1 }
            && differences.count { $0 != 0 } <= max(2, differences.count / 500)
          error = isClose ? 0 : .infinity
        }
      }
      if error >= worst.error { worst = (a.name, error) }
    }
    return worst
  }
}

/// The inputs and outputs of one run of a case.
final class Trial {
  let context: Context
  /// What activations are rounded to.
  let element: DType
  private let isReference: Bool
  private let seed: UInt64
  private var parameters: [Parameter] = []
  private(set) var outcome: ConformanceCase.Outcome = []
  private var made: UInt64 = 0

  init(_ context: Context, element: DType, seed: UInt64, isReference: Bool) {
    self.context = context
    self.element = element
    self.isReference = isReference
    self.seed = seed
  }

  /// The type of activations here.
  var type: DType { isReference ? .f64 : element }
  /// The type of parameters and statistics here.
  var small: DType { isReference ? .f64 : .f32 }

  /// Uniform in [-1, 1], rounded as activations are.
  func activation(_ shape: [Int]) -> Parameter { parameter(shape, element, type) }

  /// Uniform in [-1, 1] in `f32`: a weight, or something small.
  func weight(_ shape: [Int]) -> Parameter { parameter(shape, .f32, small) }

  /// As ``weight(_:)``, but with values that activations can hold too: a matrix that a device may
  /// round to their type before it multiplies.
  func matrix(_ shape: [Int]) -> Parameter { parameter(shape, element, small) }

  /// As ``weight(_:)``, in multiples of 1/1024: sums of a few are exact in `f32`, so that what is equal
  /// to one device is equal to all.
  func steps(_ shape: [Int]) -> Parameter {
    parameter(shape, .f32, small) { ($0 * 1024).rounded() / 1024 }
  }

  /// Uniform in [-1, 1] rounded to `rounding`, changed, and held as `type`.
  func parameter(
    _ shape: [Int], _ rounding: DType, _ type: DType, _ change: (Double) -> Double = { $0 }
  ) -> Parameter {
    made += 1
    let rounded = context.randomTensor(shape, rounding, seed: seed &* 1000 &+ made)
    let values = context.readDoubles(rounded).map(change)
    let parameter = Parameter("p\(made)", context.tensor(values, shape, type), isTrainable: true)
    parameters.append(parameter)
    return parameter
  }

  /// As ``matrix(_:)``, but held in 16 bits by the device.
  func halfMatrix(_ shape: [Int]) -> Parameter {
    parameter(shape, .bf16, isReference ? .f64 : .bf16)
  }

  /// Uniform integers below `bound`.
  func integers(_ count: Int, below bound: Int) -> [Int32] {
    made += 1
    var random = RandomStream(seed: seed &* 1000 &+ made)
    return (0..<count).map { _ in Int32(min(Double(bound - 1), random.uniform() * Double(bound))) }
  }

  /// Notes an output without gradient; integers are exact in any case.
  func note(_ name: String, _ tensor: Tensor, exact: Bool = false) {
    note(name, tensor, as: exact ? .exact : .relative)
  }

  /// Notes an output without gradient; integers are exact in any case.
  func note(_ name: String, _ tensor: Tensor, as comparison: ConformanceCase.Comparison) {
    if tensor.dtype == .i32 {
      outcome.append((name, context.readIntegers(tensor).map(Double.init), .exact))
    } else {
      outcome.append((name, context.readDoubles(tensor), comparison))
    }
  }

  /// Notes codes, or the bits of 16-bit values, of which a few may be neighbours of the reference's.
  func noteRounded(_ name: String, _ tensor: Tensor) {
    let size = tensor.dtype.byteCount
    let bytes = [UInt8](unsafeUninitializedCapacity: tensor.byteCount) { buffer, count in
      context.readBytes(tensor, into: UnsafeMutableRawBufferPointer(buffer))
      count = tensor.byteCount
    }
    let numbers = (0..<tensor.count).map { index in
      (0..<size).reduce(0) { $0 | Int(bytes[index * size + $1]) << (8 * $1) }
    }
    outcome.append((name, numbers.map(Double.init), .rounded))
  }

  /// A tensor of random codes.
  func codes(_ count: Int) -> Tensor {
    let bytes = integers(count, below: 256).map { UInt8($0) }
    return bytes.withUnsafeBytes { context.tensor(bytes: $0, [count], .u8) }
  }

  /// The mean squared difference from a random target: its gradient differs from element to element.
  func error(of y: Tensor, seed: UInt64 = 5) -> Tensor {
    let target = context.tensor(
      context.readDoubles(context.randomTensor(y.shape, element, seed: seed)), y.shape, y.dtype)
    return context.meanSquaredError(y, target: target)
  }

  /// Runs `body` recorded, notes its outputs, then the gradient of every input so far with respect
  /// to a random projection of the first output. Runs it twice, so that gradients also add up.
  func differentiate(_ body: () -> [(name: String, tensor: Tensor)]) {
    for round in 0..<2 {
      context.recording {
        let outputs = body()
        if round == 0 { for output in outputs { note(output.name, output.tensor) } }
        let y = outputs[0].tensor
        if y.count == 1 { return y }
        return error(of: y)
      }
    }
    for parameter in parameters {
      guard let gradient = parameter.gradient else { continue }
      note("d \(parameter.name) \(parameter.value.shape)", gradient)
    }
  }
}
