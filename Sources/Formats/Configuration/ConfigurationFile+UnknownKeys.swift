extension ConfigurationFile {
  /// Refuses any field that is not one of `known`, with the nearest known name as a suggestion.
  ///
  /// For settings people write: a misspelt key must not silently fall back to a default.
  public func refuseUnknownKeys(known: [String]) throws(ConfigurationError) {
    for key in object.keys where !known.contains(key) {
      let hint =
        nearestName(to: key, in: known).map { "; did you mean \"\($0)\"?" }
        ?? "; known keys: \(known.joined(separator: ", "))"
      throw ConfigurationError(
        path: path, key: key, expected: "absent (no such key\(hint))", found: "it")
    }
  }
}
