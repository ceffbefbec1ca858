import Numerics

/// The parameters of a model being put together; each is taken once.
final class ParameterStore {
  /// The type activations are computed in.
  let computeType: DType
  private var waiting: [String: Parameter]
  private var shared: [String: Parameter] = [:]

  init(_ parameters: [Parameter], computeType: DType) {
    self.computeType = computeType
    waiting = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, $0) })
  }

  /// Removes and returns the parameter called `name`.
  func take(_ name: String) throws(ModelError) -> Parameter {
    guard let parameter = waiting.removeValue(forKey: name) else {
      throw ModelError("parameter \(name) is missing; the checkpoint's layout does not provide it")
    }
    return parameter
  }

  /// The parameter called `name`, which several layers use.
  func share(_ name: String) throws(ModelError) -> Parameter {
    if let parameter = shared[name] { return parameter }
    let parameter = try take(name)
    shared[name] = parameter
    return parameter
  }

  /// The weight of a norm: ones that are no parameter of the model where its norms have none.
  func norm(_ name: String, of model: ModelConfiguration, in context: Context) throws(ModelError)
    -> Parameter
  {
    if model.hasNormWeights { return try take(name) }
    let ones = [Double](repeating: 1, count: model.hiddenSize)
    return Parameter(name, context.tensor(ones, [ones.count], computeType))
  }

  /// Throws when a parameter was not used by the model.
  func checkEmpty() throws(ModelError) {
    if let name = waiting.keys.min() {
      throw ModelError(
        "parameter \(name) belongs to no layer; the layout and the block list disagree")
    }
  }
}
