/// Names and values in two aligned columns.
struct FieldList {
  private var fields: [(name: String, value: String)] = []

  /// Appends a field.
  mutating func append(_ name: String, _ value: String) { fields.append((name, value)) }

  /// The lines, each ending in a newline.
  var text: String {
    let width = fields.map(\.name.count).max() ?? 0
    return fields.map { name, value in
      name + String(repeating: " ", count: width - name.count + 2) + value + "\n"
    }.joined()
  }
}
