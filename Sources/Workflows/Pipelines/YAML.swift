import Formats
import Yams

/// Reads YAML into a JSON tree that keeps how numbers are spelled.
///
/// Plain scalars follow the YAML 1.2 core schema: `true`/`false`, `null`/`~`, JSON numbers; all else
/// is text. (`yes`, `no` and `0x10` are text: in settings they are more often a surprise than a wish.)
enum YAML {
  /// The document as a tree; an empty document is an empty object.
  static func parse(_ text: String, path: String) throws -> JSON {
    let node: Node?
    do {
      node = try compose(yaml: text)
    } catch {
      let message = String(describing: error).split(separator: "\n").joined(separator: " ")
      throw WorkflowError("\(path): not valid YAML: \(message)")
    }
    guard let node else { return .object(JSONObject()) }
    return try tree(node, path: path)
  }

  private static func tree(_ node: Node, path: String) throws -> JSON {
    switch node {
    case .scalar(let scalar): return value(scalar)
    case .sequence(let sequence): return .array(try sequence.map { try tree($0, path: path) })
    case .mapping(let mapping):
      var object = JSONObject()
      for (key, value) in mapping {
        guard let name = key.string else {
          throw WorkflowError("\(path):\(key.mark?.line ?? 0): keys must be text")
        }
        object[name] = try tree(value, path: path)
      }
      return .object(object)
    case .alias:
      throw WorkflowError("\(path):\(node.mark?.line ?? 0): YAML aliases are not supported")
    }
  }

  private static func value(_ scalar: Node.Scalar) -> JSON {
    guard scalar.style == .plain else { return .string(scalar.string) }
    switch scalar.string {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default:
      return JSONNumber(lexeme: scalar.string).map(JSON.number) ?? .string(scalar.string)
    }
  }
}
