import Data
import Numerics

/// Everything a stage needs to go on after a step, as named tensors.
///
/// Batches depend only on the seed, the step and the shares of the domains, so the step stands for the
/// position in the data and for every random number still to be drawn.
public struct TrainingState {
  /// What a tensor is of its parameter.
  public enum Role: Sendable, Equatable {
    /// The parameter's value.
    case weight
    /// A state tensor of the optimizer, by its name.
    case optimizer(String)

    func tensorName(_ parameter: String) -> String {
      switch self {
      case .weight: "weight.\(parameter)"
      case .optimizer(let name): "optimizer.\(name).\(parameter)"
      }
    }
  }

  /// Steps done.
  public let step: Int
  /// All tensors, by name.
  public private(set) var tensors: [(name: String, tensor: Tensor)] = []
  private var places: [String: Int] = [:]

  /// A state without tensors.
  public init(step: Int) { self.step = step }

  /// Adds a tensor of a parameter.
  public mutating func add(_ tensor: Tensor, _ role: Role, of parameter: Parameter) {
    add(tensor, role.tensorName(parameter.name))
  }

  mutating func add(_ tensor: Tensor, _ name: String) {
    places[name] = tensors.count
    tensors.append((name, tensor.detached()))
  }

  /// The value of a parameter.
  /// - Throws: ``TrainingError`` when it is missing or does not fit the parameter.
  public func weight(of parameter: Parameter) throws(TrainingError) -> Tensor {
    try tensor(.weight, of: parameter, parameter.value.shape, parameter.value.dtype)
  }

  /// A state tensor of a parameter.
  /// - Throws: ``TrainingError`` when it is missing or does not fit what the optimizer keeps.
  public func state(
    _ state: OptimizerState, of parameter: Parameter
  ) throws(TrainingError) -> Tensor {
    try tensor(.optimizer(state.name), of: parameter, state.shape, state.dtype)
  }

  /// Adds the shares of the domains.
  public mutating func add(_ shares: MixtureShares, in context: Context) {
    for (name, values) in zip(Self.shareNames, [shares.weights, shares.drawn.map(Double.init)]) {
      values.withUnsafeBytes { add(context.tensor(bytes: $0, [values.count], .f64), name) }
    }
  }

  /// The shares of `domains` domains.
  /// - Throws: ``TrainingError`` when they are missing or do not fit.
  public func shares(domains: Int, in context: Context) throws(TrainingError) -> MixtureShares {
    var values: [[Double]] = []
    for name in Self.shareNames {
      values.append(context.readDoubles(try tensor(name, [domains], .f64)))
    }
    let drawn = values[1].compactMap { Int(exactly: $0) }
    guard values[0].allSatisfy({ $0 > 0 && $0.isFinite }), drawn.count == domains else {
      throw TrainingError(
        "the checkpoint of step \(step) has no usable shares of the domains; start the stage anew")
    }
    return MixtureShares(weights: values[0], drawn: drawn)
  }

  private static let shareNames = ["mixture.weights", "mixture.drawn"]

  private func tensor(
    _ role: Role, of parameter: Parameter, _ shape: [Int], _ dtype: DType
  ) throws(TrainingError) -> Tensor {
    try tensor(role.tensorName(parameter.name), shape, dtype)
  }

  private func tensor(
    _ name: String, _ shape: [Int], _ dtype: DType
  ) throws(TrainingError) -> Tensor {
    guard let place = places[name] else {
      throw TrainingError("the checkpoint of step \(step) has no \(name); start the stage anew")
    }
    let tensor = tensors[place].tensor
    guard tensor.shape == shape, tensor.dtype == dtype else {
      throw TrainingError(
        "the checkpoint of step \(step) has \(name) as \(tensor.dtype.rawValue) \(tensor.shape), the model wants \(dtype.rawValue) \(shape); start the stage anew"
      )
    }
    return tensor
  }
}
