extension ConfigurationFile {
  // MARK: - Required fields

  /// A string field.
  public func string(_ key: String) throws(ConfigurationError) -> String {
    try required(key, "a string", \.string)
  }

  /// A finite number field; an integer's spelling will do.
  public func double(_ key: String) throws(ConfigurationError) -> Double {
    try required(key, "a finite number", \.double)
  }

  /// A number field above 0.
  public func positiveDouble(
    _ key: String, default fallback: Double? = nil
  ) throws(ConfigurationError) -> Double {
    let value = if let fallback { try double(key, default: fallback) } else { try double(key) }
    guard value > 0 else {
      throw ConfigurationError(
        path: path, key: key, expected: "a number above 0", found: "\(value)")
    }
    return value
  }

  /// An integer field.
  public func integer(_ key: String) throws(ConfigurationError) -> Int {
    try required(key, "an integer", \.int)
  }

  /// An integer field from 1 to `maximum`. No width of a model exceeds the default, and products of
  /// a width, a vocabulary or another width, and a bounded number of experts do not overflow.
  public func positive(
    _ key: String, maximum: Int = 1 << 22
  ) throws(ConfigurationError) -> Int {
    let expected = "an integer from 1 to \(maximum)"
    let value = try required(key, expected, \.int)
    guard value >= 1, value <= maximum else {
      throw ConfigurationError(path: path, key: key, expected: expected, found: "\(value)")
    }
    return value
  }

  /// A nested object.
  ///
  /// It is a copy: assign its `object` back to the key to edit the file.
  public func section(_ key: String) throws(ConfigurationError) -> ConfigurationFile {
    ConfigurationFile(path: "\(path): \(key)", object: try required(key, "an object", \.object))
  }

  /// An array of objects.
  public func sections(_ key: String) throws(ConfigurationError) -> [ConfigurationFile] {
    let objects = try required(key, "an array of objects") { list($0, \.object) }
    return objects.enumerated().map { position, object in
      ConfigurationFile(path: "\(path): \(key)[\(position)]", object: object)
    }
  }

  // MARK: - Fields with a default

  /// A string field, or `fallback` where it is absent or null.
  public func string(_ key: String, default fallback: String) throws(ConfigurationError) -> String {
    try optionalString(key) ?? fallback
  }

  /// A number field, or `fallback` where it is absent or null.
  public func double(_ key: String, default fallback: Double) throws(ConfigurationError) -> Double {
    try optionalDouble(key) ?? fallback
  }

  /// An integer field, or `fallback` where it is absent or null.
  public func integer(_ key: String, default fallback: Int) throws(ConfigurationError) -> Int {
    try optionalInteger(key) ?? fallback
  }

  /// A boolean field, or `fallback` where it is absent or null.
  public func bool(_ key: String, default fallback: Bool) throws(ConfigurationError) -> Bool {
    try optional(key, "true or false", \.bool) ?? fallback
  }

  /// An array of integers, or `fallback` where it is absent or null.
  public func integers(_ key: String, default fallback: [Int]) throws(ConfigurationError) -> [Int] {
    try optional(key, "an array of integers") { list($0, \.int) } ?? fallback
  }

  /// An array of finite numbers.
  public func doubles(_ key: String) throws(ConfigurationError) -> [Double] {
    try required(key, "an array of numbers") { list($0, \.double) }
  }

  /// An array of strings, or `fallback` where it is absent or null.
  public func strings(
    _ key: String, default fallback: [String]
  ) throws(ConfigurationError) -> [String] {
    try optional(key, "an array of strings") { list($0, \.string) } ?? fallback
  }

  /// The value a string field names, or `standard` where the field is absent.
  public func choice<Value: RawRepresentable & CaseIterable>(
    _ key: String, default standard: Value? = nil
  ) throws(ConfigurationError) -> Value where Value.RawValue == String {
    if let standard, !contains(key) { return standard }
    let name = try string(key)
    guard let value = Value(rawValue: name) else {
      let names = Value.allCases.map(\.rawValue).joined(separator: ", ")
      throw ConfigurationError(path: path, key: key, expected: "one of \(names)", found: name)
    }
    return value
  }

  // MARK: - Optional fields

  /// A string field; `nil` where it is absent or null.
  public func optionalString(_ key: String) throws(ConfigurationError) -> String? {
    try optional(key, "a string", \.string)
  }

  /// A finite number field; `nil` where it is absent or null.
  public func optionalDouble(_ key: String) throws(ConfigurationError) -> Double? {
    try optional(key, "a finite number", \.double)
  }

  /// An integer field; `nil` where it is absent or null.
  public func optionalInteger(_ key: String) throws(ConfigurationError) -> Int? {
    try optional(key, "an integer", \.int)
  }

  /// A nested object; `nil` where it is absent or null.
  public func optionalSection(_ key: String) throws(ConfigurationError) -> ConfigurationFile? {
    try optional(key, "an object", \.object).map {
      ConfigurationFile(path: "\(path): \(key)", object: $0)
    }
  }

  /// The token ids of a field that holds one integer or an array of them, as `eos_token_id` does;
  /// none where it is absent or null.
  public func tokenIDs(_ key: String) throws(ConfigurationError) -> [Int] {
    try optional(key, "an integer or an array of integers") { value in
      value.int.map { [$0] } ?? list(value, \.int)
    } ?? []
  }

  // MARK: -

  private func required<Value>(
    _ key: String, _ expected: String, _ convert: (JSON) -> Value?
  ) throws(ConfigurationError) -> Value {
    if let value = try optional(key, expected, convert) { return value }
    guard !object.contains(key) else {
      throw ConfigurationError(path: path, key: key, expected: expected, found: "null")
    }
    let nearest = nearestName(to: key, in: object.lazy.map(\.key))
    throw ConfigurationError(path, .missing(key: key, expected: expected, nearest: nearest))
  }

  private func optional<Value>(
    _ key: String, _ expected: String, _ convert: (JSON) -> Value?
  ) throws(ConfigurationError) -> Value? {
    guard let json = value(key) else { return nil }
    guard let value = convert(json) else {
      throw ConfigurationError(
        path: path, key: key, expected: expected, found: json.kindDescription)
    }
    return value
  }

  /// The elements of an array, when it is one and all convert.
  private func list<Element>(_ json: JSON, _ convert: (JSON) -> Element?) -> [Element]? {
    guard let elements = json.array else { return nil }
    var values: [Element] = []
    for element in elements {
      guard let value = convert(element) else { return nil }
      values.append(value)
    }
    return values
  }
}
