import Data
import Formats

/// The tokenizer files of a new model, and what its `config.json` says of them.
struct TokenizerFiles {
  /// Rows of the embedding.
  let vocabularySize: Int
  /// The id a text begins with, and the ids that end a reply; null where nothing tells.
  let beginOfText: JSON
  let endOfReply: JSON
  /// Names and contents.
  let files: [(name: String, contents: [UInt8])]

  /// What a folder may have beside `tokenizer.json`.
  private static let companions = [
    "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
    "chat_template.jinja", "chat_template.json",
  ]

  /// Those of a tokenizer learned from text.
  init(_ tokenizer: TrainedTokenizer, contextLength: Int) {
    vocabularySize = tokenizer.vocabularySize
    func id(_ token: String) -> JSON { tokenizer.id(ofSpecial: token).map { JSON($0) } ?? .null }
    beginOfText = id("<|begin_of_text|>")
    endOfReply = id("<|eot_id|>")
    files = tokenizer.files(contextLength: contextLength).map { ($0.name, Array($0.contents.utf8)) }
  }

  /// Those of a folder, which may be a checkpoint's.
  init(folder: String) throws {
    let tokenizer = try Self.tokenizer(of: folder)
    let config =
      Files.exists("\(folder)/config.json")
      ? try ConfigurationFile(contentsOf: "\(folder)/config.json") : nil
    vocabularySize = try config?.optionalInteger("vocab_size") ?? tokenizer.vocabularySize
    beginOfText = config?["bos_token_id"] ?? .null
    endOfReply = config?["eos_token_id"] ?? .null
    files = try (["tokenizer.json"] + Self.companions.filter { Files.exists("\(folder)/\($0)") })
      .map { ($0, try Files.read("\(folder)/\($0)")) }
  }

  /// The tokenizer of a folder, checked.
  static func tokenizer(of folder: String) throws -> Tokenizer {
    guard Files.exists("\(folder)/tokenizer.json") else {
      throw WorkflowError(
        "\(folder): no tokenizer.json; \"tokenizer\" of \"initialize\" takes a folder that has one")
    }
    return try Tokenizer(folder: folder)
  }
}
