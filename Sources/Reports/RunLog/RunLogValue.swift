/// A value in a run log: what one line of JSON can say.
public enum RunLogValue: Equatable, Sendable {
  case null
  case bool(Bool)
  case int(Int)
  /// Numbers that are not finite have no spelling in JSON; they are written as the strings
  /// `"NaN"`, `"Infinity"` and `"-Infinity"`, so a diverged loss stays visible in the log.
  case double(Double)
  case string(String)
  case array([RunLogValue])
  case object(RunLogRecord)

  /// The number, also where it was written as an integer or as the string of a non-finite number.
  public var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    case .string("NaN"): .nan
    case .string("Infinity"): .infinity
    case .string("-Infinity"): -.infinity
    default: nil
    }
  }

  /// The integer.
  public var integer: Int? {
    if case .int(let value) = self { value } else { nil }
  }

  /// The text.
  public var text: String? {
    if case .string(let value) = self { value } else { nil }
  }

  /// The elements.
  public var elements: [RunLogValue]? {
    if case .array(let values) = self { values } else { nil }
  }

  /// The nested record.
  public var record: RunLogRecord? {
    if case .object(let record) = self { record } else { nil }
  }
}

extension RunLogValue: ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral
{
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: RunLogValue...) { self = .array(elements) }
}

/// One line of a run log: named values in the order they were given.
public struct RunLogRecord: Equatable, Sendable, ExpressibleByDictionaryLiteral {
  /// The fields, each name once.
  public private(set) var fields: [(name: String, value: RunLogValue)] = []

  public init() {}

  public init(dictionaryLiteral elements: (String, RunLogValue)...) {
    for (name, value) in elements { self[name] = value }
  }

  /// The value of a name; setting a new name appends it, setting nil removes it.
  public subscript(name: String) -> RunLogValue? {
    get { fields.first { $0.name == name }?.value }
    set {
      let index = fields.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let value?): fields[index].value = value
      case (let index?, nil): fields.remove(at: index)
      case (nil, let value?): fields.append((name, value))
      case (nil, nil): break
      }
    }
  }

  /// The field `step`.
  public var step: Int? { self["step"]?.integer }

  /// The field `stage`.
  public var stage: String? { self["stage"]?.text }

  public static func == (a: RunLogRecord, b: RunLogRecord) -> Bool {
    a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
  }
}
