/// Gives the inputs of each layer's attention and MLP on calibration text, layer after layer.
public protocol CalibrationSource {
  /// The inputs of layer `index`; asked for each layer once, in ascending order.
  func inputs(ofLayer index: Int) throws -> any LayerInputs
  /// What layer `index` attends on; asked for at most once a layer, before its MLP's inputs.
  func attentionInputs(ofLayer index: Int) throws -> any AttentionInputs
}
