/// A JSON document as a tree that keeps what the source said.
///
/// Numbers keep their spelling and objects keep the order of their keys, so a file read, edited in
/// one place and written again differs in that place only. Two strings are equal when their UTF-8
/// bytes are: unlike `String`, canonically equivalent spellings stay apart, as vocabularies need.
public enum JSON: Sendable {
  case null
  case bool(Bool)
  case number(JSONNumber)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

extension JSON {
  /// The members when this is an object, else `nil`.
  public var object: JSONObject? {
    if case .object(let value) = self { value } else { nil }
  }

  /// The elements when this is an array, else `nil`.
  public var array: [JSON]? {
    if case .array(let value) = self { value } else { nil }
  }

  /// The text when this is a string, else `nil`.
  public var string: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The value when this is a number spelled as an integer that fits `Int`, else `nil`.
  public var int: Int? {
    if case .number(let value) = self { value.int } else { nil }
  }

  /// The value when this is a number within the finite range of `Double`, else `nil`.
  public var double: Double? {
    if case .number(let value) = self { value.double } else { nil }
  }

  /// The value when this is `true` or `false`, else `nil`.
  public var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// Whether this is `null`.
  public var isNull: Bool {
    if case .null = self { true } else { false }
  }

  /// The member named `key` when this is an object that has it, else `nil`.
  public subscript(key: String) -> JSON? { object?[key] }

  /// What kind of value this is, in the words of an error message: `a string`, `an integer`, …
  public var kindDescription: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .number(let value): value.isInteger ? "an integer" : "a decimal number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSON {
  /// A number, or `null` when `value` is infinite or not a number: JSON can spell neither.
  public init(_ value: Double) {
    self = value.isFinite ? .number(JSONNumber(value)) : .null
  }

  /// A number spelled as an integer.
  public init(_ value: Int) { self = .number(JSONNumber(value)) }

  /// A string.
  public init(_ value: String) { self = .string(value) }

  /// `true` or `false`.
  public init(_ value: Bool) { self = .bool(value) }
}

extension JSON: Equatable {
  public static func == (left: JSON, right: JSON) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.number(let a), .number(let b)): a == b
    case (.string(let a), .string(let b)): haveSameBytes(a, b)
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a == b
    default: false
    }
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
  ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
  public init(floatLiteral value: Double) { self = .number(JSONNumber(value)) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }
  public init(nilLiteral: ()) { self = .null }
}
