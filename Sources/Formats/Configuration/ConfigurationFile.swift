/// A `config.json`-like file as a JSON tree with typed getters.
///
/// Unknown fields and the spelling of numbers survive editing: the tree keeps lexemes. A nested
/// object reads as a section of the same file, so that errors name the whole path.
public struct ConfigurationFile: Sendable {
  /// File path, followed by the section path in nested sections; used in errors.
  public let path: String
  /// The fields, in file order.
  public var object: JSONObject

  /// A configuration from fields already parsed.
  public init(path: String, object: JSONObject) {
    self.path = path
    self.object = object
  }

  /// Whether the field is there and not null.
  public func contains(_ key: String) -> Bool { value(key) != nil }

  // MARK: - Required fields

  /// A string field.
  public func string(_ key: String) throws(ConfigurationError) -> String {
    try required(key, try optionalString(key), "a string")
  }

  /// A number field; integer lexemes count.
  public func double(_ key: String) throws(ConfigurationError) -> Double {
    try required(key, try optionalDouble(key), "a number")
  }

  /// An integer field.
  public func integer(_ key: String) throws(ConfigurationError) -> Int {
    try required(key, try optionalInteger(key), "an integer")
  }

  /// An integer field of at least 1.
  public func positive(_ key: String) throws(ConfigurationError) -> Int {
    let value = try integer(key)
    guard value >= 1, value <= 1 << 40 else {
      throw ConfigurationError(path: path, key: key, expected: "a positive integer", found: "\(value)")
    }
    return value
  }

  /// A nested object.
  public func section(_ key: String) throws(ConfigurationError) -> ConfigurationFile {
    try required(key, try optionalSection(key), "an object")
  }

  /// An array of objects.
  public func sections(_ key: String) throws(ConfigurationError) -> [ConfigurationFile] {
    guard let array = value(key)?.array else { throw mismatch(key, "an array of objects") }
    var result: [ConfigurationFile] = []
    for (index, element) in array.enumerated() {
      guard let object = element.object else { throw mismatch(key, "an array of objects") }
      result.append(ConfigurationFile(path: "\(path): \(key)[\(index)]", object: object))
    }
    return result
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
    guard let value = value(key) else { return fallback }
    guard let bool = value.bool else { throw mismatch(key, "true or false") }
    return bool
  }

  /// An array of integers, or `fallback` where it is absent or null.
  public func integers(_ key: String, default fallback: [Int]) throws(ConfigurationError) -> [Int] {
    guard let value = value(key) else { return fallback }
    guard let array = value.array else { throw mismatch(key, "an array of integers") }
    var result: [Int] = []
    for element in array {
      guard let integer = element.int else { throw mismatch(key, "an array of integers") }
      result.append(integer)
    }
    return result
  }

  // MARK: - Optional fields

  /// A string field; `nil` where it is absent or null.
  public func optionalString(_ key: String) throws(ConfigurationError) -> String? {
    guard let value = value(key) else { return nil }
    guard let string = value.string else { throw mismatch(key, "a string") }
    return string
  }

  /// A finite number field; `nil` where it is absent or null.
  public func optionalDouble(_ key: String) throws(ConfigurationError) -> Double? {
    guard let value = value(key) else { return nil }
    guard let double = value.double, double.isFinite else { throw mismatch(key, "a finite number") }
    return double
  }

  /// An integer field; `nil` where it is absent or null.
  public func optionalInteger(_ key: String) throws(ConfigurationError) -> Int? {
    guard let value = value(key) else { return nil }
    guard let integer = value.int else { throw mismatch(key, "an integer") }
    return integer
  }

  /// A nested object; `nil` where it is absent or null.
  public func optionalSection(_ key: String) throws(ConfigurationError) -> ConfigurationFile? {
    guard let value = value(key) else { return nil }
    guard let object = value.object else { throw mismatch(key, "an object") }
    return ConfigurationFile(path: "\(path): \(key)", object: object)
  }

  // MARK: -

  private func value(_ key: String) -> JSON? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  private func required<Value>(_ key: String, _ value: Value?, _ expected: String)
    throws(ConfigurationError) -> Value
  {
    guard let value else { throw mismatch(key, expected) }
    return value
  }

  private func mismatch(_ key: String, _ expected: String) -> ConfigurationError {
    ConfigurationError(
      path: path, key: key, expected: expected, found: value(key)?.kindDescription ?? "nothing")
  }
}

/// A configuration field that is missing or of the wrong kind.
public struct ConfigurationError: Error, CustomStringConvertible, Equatable, Sendable {
  /// The file, and the section in it.
  public let path: String
  /// The field.
  public let key: String
  /// What the field should hold.
  public let expected: String
  /// What is there.
  public let found: String

  public var description: String { "\(path): \"\(key)\" should be \(expected), found \(found)" }
}
