/// The files beside the weights that every checkpoint made from another one keeps.
enum CompanionFile {
  /// Whether a file of a source folder is copied: tokenizer, generation settings, chat template and
  /// licence; not weights, config or model card, which are written anew.
  static func isCopied(_ name: String) -> Bool {
    let lowered = name.lowercased()
    return lowered.hasPrefix("tokenizer") || lowered == "generation_config.json"
      || lowered == "special_tokens_map.json" || lowered == "added_tokens.json"
      || lowered == "vocab.json" || lowered == "merges.txt" || lowered.hasPrefix("chat_template")
      || lowered.hasPrefix("license") || lowered.hasPrefix("licence")
      || lowered.hasPrefix("notice") || lowered.hasPrefix("use_policy")
  }
}
