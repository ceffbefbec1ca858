/// A JSON configuration, as `config.json`, `generation_config.json` or `tokenizer_config.json`.
///
/// Fields are read by type, with errors that name file, key, expected and found. Edits keep the
/// order and the spelling of everything else, so the file stays acceptable to strictly typed
/// readers. A nested object reads as a section whose errors name the way to it.
public struct ConfigurationFile: Sendable {
  /// The file, followed by the section in it; named in errors.
  public let path: String
  /// The fields, in file order; assign to them to edit.
  public var object: JSONObject
  private var style = ConfigurationStyle()

  /// A configuration from fields already parsed.
  public init(path: String, object: JSONObject) {
    self.path = path
    self.object = object
  }

  /// Reads a configuration of at most 64 MiB.
  public init(contentsOf path: String) throws(ConfigurationError) {
    let bytes: [UInt8]
    do throws(FileError) {
      bytes = try Files.read(path, maximumBytes: 64 << 20)
    } catch {
      throw ConfigurationError(path, .file(error))
    }
    try self.init(path: path, bytes: bytes)
  }

  /// Reads a configuration from the content of a file; `path` is named in errors.
  public init(path: String, bytes: [UInt8]) throws(ConfigurationError) {
    let json: JSON
    do throws(JSONError) {
      json = try JSON.parse(bytes)
    } catch {
      throw ConfigurationError(path, .json(error))
    }
    guard let object = json.object else {
      throw ConfigurationError(path, .notAnObject(found: json.kindDescription))
    }
    self.init(path: path, object: object)
    style = ConfigurationStyle(of: bytes)
  }

  /// The value of `key`, or `nil`. Setting a new key appends it; setting `nil` removes it.
  public subscript(key: String) -> JSON? {
    get { object[key] }
    set { object[key] = newValue }
  }

  /// Whether the field is there and not null.
  public func contains(_ key: String) -> Bool { value(key) != nil }

  /// The document as text with a newline at the end, indented as its source or else by two.
  public func serialized() -> String {
    JSON.object(object).serialized(
      indent: style.indent, escapingNonASCII: style.escapesNonASCII) + "\n"
  }

  /// Writes the document in one step.
  public func write(to path: String) throws(ConfigurationError) {
    do throws(FileError) {
      try Files.write(serialized(), to: path)
    } catch {
      throw ConfigurationError(path, .file(error))
    }
  }

  /// The value of a field, `nil` when it is absent or null.
  func value(_ key: String) -> JSON? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }
}

/// How a configuration file is laid out, kept so that an edit changes no other line.
private struct ConfigurationStyle: Sendable {
  var indent = 2
  /// Python writes characters beyond ASCII as escapes unless told otherwise.
  var escapesNonASCII = false

  init() {}

  init(of bytes: [UInt8]) {
    escapesNonASCII = bytes.allSatisfy { $0 < 0x80 }
    guard let open = bytes.firstIndex(of: UInt8(ascii: "{")) else { return }
    let rest = bytes[(open + 1)...].drop { $0 == 0x0d }
    guard rest.first == 0x0a else { return }
    let spaces = rest.dropFirst().prefix { $0 == 0x20 }.count
    if (1...16).contains(spaces) { indent = spaces }
  }
}
