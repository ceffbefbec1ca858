/// A named trainable tensor of a model.
///
/// `@unchecked Sendable`: a model is used by one thread at a time.
public final class Parameter: @unchecked Sendable {
  /// The path inside the model, such as `layers.3.attention.query`.
  public let name: String
  /// The current value. Optimizers write into its memory in place.
  public var value: Tensor {
    didSet { value.storage.isParameter = true }
  }
  /// Whether gradients are computed for it.
  public var isTrainable: Bool {
    didSet { if !isTrainable { slot.gradient = nil } }
  }
  private let slot: GradientSlot

  /// A parameter over an existing value.
  public init(_ name: String, _ value: Tensor, isTrainable: Bool = false) {
    self.name = name
    self.value = value.detached()
    self.isTrainable = isTrainable
    self.slot = GradientSlot()
    slot.parameter = self
    self.value.storage.isParameter = true
  }

  /// The value as an operation's input: gradients flow back to this parameter when it trains.
  public var tensor: Tensor {
    var tensor = value
    tensor.slot = isTrainable ? slot : nil
    return tensor
  }

  /// The accumulated gradient, of the value's shape; `f32` for 16-bit weights, else of the value's
  /// type. `nil` before the first backward.
  public var gradient: Tensor? {
    get { slot.gradient }
    set { slot.gradient = newValue }
  }
}
