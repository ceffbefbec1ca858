import Formats
import TestSupport

/// The small tokenizers of Tests/Fixtures/Tokenizers and what the reference makes of them.
enum TokenizerFixtures {
  static let names = [
    "gpt2", "gpt2-added", "llama3", "qwen2", "llama2", "llama2-metaspace", "sentencepiece-unknown",
  ]

  private static let folder = PackageFolder.path + "/Tests/Fixtures/Tokenizers"

  static func bytes(_ name: String) throws -> [UInt8] {
    try Files.read("\(folder)/\(name).json")
  }

  static func document(_ name: String) throws -> JSON { try JSON.parse(bytes(name)) }

  static func tokenizer(_ name: String) throws -> Tokenizer {
    try Tokenizer(json: document(name))
  }

  /// The document with one member replaced, named by keys and indices.
  static func document(_ name: String, replacing path: [String], with value: JSON) throws -> JSON {
    replace(try document(name), path[...], value)
  }

  private static func replace(_ json: JSON, _ path: ArraySlice<String>, _ value: JSON) -> JSON {
    guard let key = path.first else { return value }
    if var object = json.object {
      object[key] = replace(object[key] ?? .null, path.dropFirst(), value)
      return .object(object)
    }
    var list = json.array ?? []
    let index = Int(key) ?? 0
    if index < list.count {
      list[index] = replace(list[index], path.dropFirst(), value)
    } else {
      list.append(value)
    }
    return .array(list)
  }
}

extension JSON {
  var ids: [Int32] { (array ?? []).compactMap { $0.int.map(Int32.init) } }
}
