import Formats

extension HerdLayout {
  /// The `config.json` with which a model of a format that is only read is saved.
  ///
  /// - Parameters:
  ///   - layout: The format it was read in; all its blocks have the same heads.
  ///   - source: The `config.json` it was read with; what both formats have stays as it is.
  public static func config(
    for layout: any CheckpointLayout, from source: ConfigurationFile
  ) -> ConfigurationFile {
    let model = layout.configuration
    var config = source
    for key in (layout.foreignFields ?? []) + ["auto_map", "sliding_window"] { config[key] = nil }
    config["architectures"] = ["HerdForCausalLM"]
    config["model_type"] = "herd"
    var base = "llama"
    if let block = model.blocks.first, case .attention(let attention) = block.mixer {
      config["num_key_value_heads"] = JSON(attention.keyHeads)
      if let window = attention.window {
        base = "mistral"
        config["sliding_window"] = JSON(window)
      }
    }
    if let width = model.blocks.first?.mlp.totalWidth {
      config["intermediate_size"] = JSON(width)
    }
    config["herd"] = [
      "format_version": 1, "base_model_type": JSON(base),
      "blocks": .array(
        model.blocks.map { ["mixer": $0.mixer.json, "mlp": $0.mlp.json] }),
    ]
    return config
  }
}

extension MLPConfiguration {
  /// All neurons, used or not.
  fileprivate var totalWidth: Int {
    switch self {
    case .dense(let dense): dense.width
    case .mixture(let mixture): mixture.experts * mixture.expertWidth + mixture.sharedWidth
    }
  }
}
