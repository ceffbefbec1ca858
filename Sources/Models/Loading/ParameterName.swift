/// Names of parameters inside a model. Everything LLaMA has keeps its Hugging Face name.
public enum ParameterName {
  /// The embedding table, `[V, D]`.
  public static let embedding = "model.embed_tokens.weight"
  /// Gain of the final norm, `[D]`.
  public static let finalNorm = "model.norm.weight"
  /// The output head, `[V, D]`; absent when tied.
  public static let head = "lm_head.weight"

  /// Lower bounds of the forget gates of all layers, `[layers, channels]`; only where gates have them.
  public static let lowerBounds = "model.lower_bounds"

  /// Prefix of the embeddings' position encoding; only where there is one.
  public static let positionEncoding = "model.tpe"

  /// Whether a parameter is an angle, a lower bound, the logarithm of a rate or what begins a step:
  /// rounding it to 16 bits, or shrinking it by weight decay, would change what it says.
  public static func isSensitive(_ name: String) -> Bool {
    name == lowerBounds
      || [".lrpe.theta", ".log_rate", ".step_proj.bias"].contains { name.hasSuffix($0) }
  }

  /// Prefix of block `index`.
  public static func block(_ index: Int) -> String { "model.layers.\(index)" }
  /// Prefix of the MLP of block `index`.
  public static func mlp(_ index: Int) -> String { "model.layers.\(index).mlp" }
}
