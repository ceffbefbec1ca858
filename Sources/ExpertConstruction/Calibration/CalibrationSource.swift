/// Gives the inputs of each layer's MLP on calibration text, layer after layer.
public protocol CalibrationSource {
  /// The inputs of layer `index`; asked for each layer once, in ascending order.
  func inputs(ofLayer index: Int) throws -> any LayerInputs
}
