import Numerics

/// Moves parameters against their gradients and keeps what it needs between steps.
public protocol Optimizer: AnyObject {
  /// The state tensors that a parameter has, in a fixed order. They follow from the parameter's
  /// shape and type alone.
  func stateLayout(of parameter: Parameter) -> [OptimizerState]
  /// The state tensors of a parameter, as ``stateLayout(of:)`` describes them. Made, as zeros, when
  /// first asked for.
  func state(of parameter: Parameter, in context: Context) -> [Tensor]
  /// Puts saved state tensors in place.
  func restore(_ tensors: [Tensor], of parameter: Parameter)
  /// One step over all entries that have a gradient; the gradients are gone afterwards.
  ///
  /// - Parameters:
  ///   - step: Counts from 1.
  ///   - rateFactor: Multiplies every entry's learning rate.
  ///   - gradientScale: A scalar tensor that multiplies every gradient; `nil` for one.
  func step(
    _ step: Int, _ entries: [ParameterSelection.Entry], rateFactor: Double, gradientScale: Tensor?,
    in context: Context)
}

/// The name, shape and type of a state tensor.
public struct OptimizerState: Sendable, Equatable {
  /// Its name, the same for every parameter that has it.
  public let name: String
  /// Extents.
  public let shape: [Int]
  /// Element type.
  public let dtype: DType

  /// A description from its parts.
  public init(_ name: String, _ shape: [Int], _ dtype: DType) {
    self.name = name
    self.shape = shape
    self.dtype = dtype
  }
}

/// What AdamW is told besides the learning rate.
public struct AdamWSettings: Sendable, Equatable {
  /// Decay of the first moment.
  public var beta1 = 0.9
  /// Decay of the second moment.
  public var beta2 = 0.95
  /// ε.
  public var epsilon = 1e-8
  /// Decoupled decay of the entries that are decayed at all.
  public var weightDecay = 0.0

  /// The defaults of a settings file.
  public init() {}
}

/// State tensors by parameter.
struct OptimizerStates {
  private var held: [String: [Tensor]] = [:]

  /// The parameter's tensors, zeros of this layout when there are none yet.
  mutating func tensors(
    of parameter: Parameter, _ layout: [OptimizerState], in context: Context
  ) -> [Tensor] {
    if let tensors = held[parameter.name] { return tensors }
    let fresh = layout.map { context.zeros($0.shape, $0.dtype) }
    held[parameter.name] = fresh
    return fresh
  }

  mutating func restore(_ tensors: [Tensor], of parameter: Parameter) {
    held[parameter.name] = tensors
  }
}
