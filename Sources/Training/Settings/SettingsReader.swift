import Formats

/// Reads one section of a settings file strictly: every key must be known, every value in bounds.
struct SettingsReader {
  private let section: ConfigurationFile
  /// The section as errors name it: the file alone, or `file: path.to.section`.
  private let place: String
  private let isNested: Bool

  /// A reader of a section that may hold `keys` only.
  init(_ section: ConfigurationFile, keys: [String]) throws(SettingsError) {
    let nested = section.path.contains(": ")
    try self.init(section, place: section.path, isNested: nested, keys: keys)
  }

  private init(
    _ section: ConfigurationFile, place: String, isNested: Bool, keys: [String]
  ) throws(SettingsError) {
    self.section = section
    self.place = place
    self.isNested = isNested
    for key in section.object.keys where !keys.contains(key) {
      let advice =
        nearestName(to: key, in: keys).map { "did you mean \($0)?" }
        ?? "known keys are \(keys.joined(separator: ", "))"
      throw SettingsError("\(location(of: key)): unknown key; \(advice)")
    }
  }

  /// `file: path.key`.
  func location(of key: String) -> String { place + (isNested ? "." : ": ") + key }

  /// An error about one key.
  func failure(_ key: String, _ message: String) -> SettingsError {
    SettingsError("\(location(of: key)): \(message)")
  }

  private func value(_ key: String) -> JSON? {
    guard let value = section.object[key], !value.isNull else { return nil }
    return value
  }

  private func mismatch(_ key: String, _ expected: String) -> SettingsError {
    guard let found = value(key) else { return failure(key, "missing; give \(expected)") }
    return failure(key, "found \(found.kindDescription); give \(expected)")
  }

  // MARK: - Scalars

  /// A non-empty string; without `fallback` the key is required.
  func string(_ key: String, default fallback: String? = nil) throws(SettingsError) -> String {
    if value(key) == nil, let fallback { return fallback }
    guard let text = value(key)?.string, !text.isEmpty else {
      throw mismatch(key, "a non-empty string")
    }
    return text
  }

  /// A string, or `nil` where the key is absent.
  func optionalString(_ key: String) throws(SettingsError) -> String? {
    value(key) == nil ? nil : try string(key)
  }

  /// An integer in `range`; without `fallback` the key is required.
  func integer(
    _ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil
  ) throws(SettingsError) -> Int {
    if value(key) == nil, let fallback { return fallback }
    let expected = "an integer from \(range.lowerBound) to \(range.upperBound)"
    guard let integer = value(key)?.int else { throw mismatch(key, expected) }
    guard range.contains(integer) else {
      throw failure(key, "\(integer) is out of bounds; give \(expected)")
    }
    return integer
  }

  /// An integer in `range`, or `nil` where the key is absent.
  func optionalInteger(_ key: String, in range: ClosedRange<Int>) throws(SettingsError) -> Int? {
    value(key) == nil ? nil : try integer(key, in: range)
  }

  /// A finite number for which `isValid` holds; without `fallback` the key is required.
  func number(
    _ key: String, _ expected: String, default fallback: Double? = nil,
    where isValid: (Double) -> Bool
  ) throws(SettingsError) -> Double {
    if value(key) == nil, let fallback { return fallback }
    guard let number = value(key)?.double else { throw mismatch(key, expected) }
    guard number.isFinite, isValid(number) else {
      throw failure(key, "\(number) is out of bounds; give \(expected)")
    }
    return number
  }

  /// A finite number of at least 0.
  func nonNegative(_ key: String, default fallback: Double? = nil) throws(SettingsError) -> Double {
    try number(key, "a number of at least 0", default: fallback) { $0 >= 0 }
  }

  /// A finite number of at least 0; `nil` where the key is absent.
  func optionalNonNegative(_ key: String) throws(SettingsError) -> Double? {
    value(key) == nil ? nil : try nonNegative(key)
  }

  /// A finite number above 0; without `fallback` the key is required.
  func positive(_ key: String, default fallback: Double? = nil) throws(SettingsError) -> Double {
    try number(key, "a number above 0", default: fallback) { $0 > 0 }
  }

  /// `true` or `false`.
  func bool(_ key: String, default fallback: Bool) throws(SettingsError) -> Bool {
    guard let value = value(key) else { return fallback }
    guard let bool = value.bool else { throw mismatch(key, "true or false") }
    return bool
  }

  /// One of the spellings of an enumeration.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, default fallback: Choice
  ) throws(SettingsError) -> Choice where Choice.RawValue == String {
    guard let value = value(key) else { return fallback }
    let names = Choice.allCases.map(\.rawValue)
    guard let text = value.string else { throw mismatch(key, names.joined(separator: " or ")) }
    guard let choice = Choice(rawValue: text) else {
      let advice =
        nearestName(to: text, in: names).map { "did you mean \($0)?" }
        ?? "give \(names.joined(separator: " or "))"
      throw failure(key, "\"\(text)\" is no choice here; \(advice)")
    }
    return choice
  }

  // MARK: - Lists and sections

  /// A list of numbers of a fixed length.
  func numbers(
    _ key: String, _ expected: String, default fallback: [Double], where isValid: (Double) -> Bool
  ) throws(SettingsError) -> [Double] {
    guard let value = value(key) else { return fallback }
    let numbers = value.array?.compactMap(\.double) ?? []
    guard numbers.count == fallback.count, value.array?.count == fallback.count,
      numbers.allSatisfy(isValid)
    else { throw failure(key, "give \(expected)") }
    return numbers
  }

  /// A list of `count` numbers; `nil` for the word that may stand instead. The key is required.
  func numbers(
    _ key: String, orWord word: String, count: Int, _ expected: String,
    where isValid: (Double) -> Bool
  ) throws(SettingsError) -> [Double]? {
    guard let value = value(key) else { throw mismatch(key, expected) }
    if value.string == word { return nil }
    let numbers = value.array?.compactMap(\.double) ?? []
    guard numbers.count == count, value.array?.count == count, numbers.allSatisfy(isValid) else {
      throw failure(key, "give \(expected)")
    }
    return numbers
  }

  /// A list of non-empty strings; without `fallback` the key is required.
  /// - Parameter allowsNone: Whether the list may be empty.
  func strings(
    _ key: String, default fallback: [String]? = nil, allowsNone: Bool = false
  ) throws(SettingsError) -> [String] {
    if value(key) == nil, let fallback { return fallback }
    guard let value = value(key) else {
      throw mismatch(key, "a list of one or more non-empty strings")
    }
    let strings = value.array?.compactMap(\.string) ?? []
    guard !strings.isEmpty || allowsNone, strings.count == value.array?.count, !strings.contains("")
    else {
      throw failure(key, "give a list of one or more non-empty strings")
    }
    return strings
  }

  /// A section, empty where the key is absent.
  func section(_ key: String, keys: [String]) throws(SettingsError) -> SettingsReader {
    guard let value = value(key) else { return try nested(JSONObject(), key, keys: keys) }
    guard let object = value.object else { throw mismatch(key, "a section of keys and values") }
    return try nested(object, key, keys: keys)
  }

  /// A section, or `nil` where the key is absent.
  func optionalSection(
    _ key: String, keys: [String]
  ) throws(SettingsError) -> SettingsReader? {
    value(key) == nil ? nil : try section(key, keys: keys)
  }

  /// A list of sections, empty where the key is absent.
  func sections(_ key: String, keys: [String]) throws(SettingsError) -> [SettingsReader] {
    guard let value = value(key) else { return [] }
    guard let array = value.array else { throw mismatch(key, "a list of sections") }
    var readers: [SettingsReader] = []
    for (index, element) in array.enumerated() {
      guard let object = element.object else {
        throw failure(
          "\(key)[\(index)]", "found \(element.kindDescription); give a section of keys and values")
      }
      readers.append(try nested(object, "\(key)[\(index)]", keys: keys))
    }
    return readers
  }

  private func nested(
    _ object: JSONObject, _ key: String, keys: [String]
  ) throws(SettingsError) -> SettingsReader {
    try SettingsReader(
      ConfigurationFile(path: section.path, object: object), place: location(of: key),
      isNested: true, keys: keys)
  }
}
