import Data
import Formats
import Models
import Numerics

/// A Hugging Face checkpoint folder, opened and checked without reading weights.
public struct ModelFolder {
  /// The folder.
  public let path: String
  /// Its `config.json`.
  public let config: ConfigurationFile
  /// Reads the weights; knows layout and files.
  public let loader: ModelLoader

  /// Opens a folder: `config.json`, shards and index, and every tensor's shape against the config.
  ///
  /// - Parameters:
  ///   - access: How weights will be read.
  ///   - addingSelectionBias: Gives each mixture that has none a selection bias of zero, for training
  ///     that balances experts by it; refused where the model is saved in a format without.
  /// - Throws: An error naming the file, tensor or field at fault.
  public init(
    _ path: String, access: SafetensorsFile.Access = .mapped, addingSelectionBias: Bool = false
  ) throws {
    guard Files.isFolder(path) else {
      throw WorkflowError(
        Files.exists(path)
          ? "\(path): not a folder; give the folder that holds config.json"
          : "\(path): no such folder; check the path of the checkpoint")
    }
    self.path = path
    var config = try ConfigurationFile(contentsOf: "\(path)/config.json")
    let layout =
      try addingSelectionBias
      ? CheckpointLayouts.layoutWithSelectionBias(for: &config)
      : CheckpointLayouts.layout(for: config)
    self.config = config
    loader = try ModelLoader(
      layout: layout, checkpoint: Checkpoint(folder: path, access: access),
      selectionBiasFromZero: addingSelectionBias)
  }

  /// The format and block list.
  public var layout: any CheckpointLayout { loader.layout }
  /// The model as a list of blocks.
  public var configuration: ModelConfiguration { loader.layout.configuration }
  /// The files.
  public var checkpoint: Checkpoint { loader.checkpoint }

  /// The layout and the `config.json` that the model is saved with once it has been trained: its
  /// own, or herd's where its format is only read.
  public func savedFormat() throws -> (layout: any CheckpointLayout, config: ConfigurationFile) {
    guard layout.foreignFields != nil else { return (layout, config) }
    let config = HerdLayout.config(for: layout, from: config)
    return (try HerdLayout(config), config)
  }

  /// Whether the folder has a tokenizer.
  public var hasTokenizer: Bool { Files.exists("\(path)/tokenizer.json") }

  /// Reads `tokenizer.json` and checks it against `vocab_size`.
  public func tokenizer() throws -> Tokenizer { try Tokenizer(folder: path) }

  /// The chat format: `name` if given, else what the folder tells.
  /// - Throws: `ChatError` when the folder tells none, ``WorkflowError`` for an unknown name.
  public func chatFormat(named name: String? = nil, tokenizer: Tokenizer) throws -> ChatFormat {
    try ChatFormat.named(name, folder: path, tokenizer: tokenizer)
  }

  /// The tokens that end a text: `eos_token_id` of `generation_config.json`, else of `config.json`.
  public func endTokens() throws -> Set<Int32> {
    let generation = "\(path)/generation_config.json"
    let sources =
      Files.exists(generation) ? [try ConfigurationFile(contentsOf: generation), config] : [config]
    for source in sources {
      guard let value = source.object["eos_token_id"], !value.isNull else { continue }
      let ids = try value.int.map { [$0] } ?? source.integers("eos_token_id", default: [])
      guard let wrong = ids.first(where: { $0 < 0 || $0 >= configuration.vocabularySize }) else {
        return Set(ids.map(Int32.init))
      }
      throw WorkflowError(
        "\(source.path): \"eos_token_id\" \(wrong) is outside the vocabulary of \(configuration.vocabularySize); correct it"
      )
    }
    return []
  }
}

extension ChatFormat {
  /// The format `name` if given, else what a folder tells.
  /// - Throws: `ChatError` when the folder tells none, ``WorkflowError`` for an unknown name.
  static func named(_ name: String?, folder: String, tokenizer: Tokenizer) throws -> ChatFormat {
    guard let name else { return try detect(folder: folder, tokenizer: tokenizer) }
    guard let format = ChatFormat(rawValue: name) else {
      throw WorkflowError(
        "chat format \"\(name)\" is not known; choose \(ChatFormatName.all.joined(separator: ", "))"
      )
    }
    return format
  }
}

/// The names `--chat-format` takes.
public enum ChatFormatName {
  /// Every name.
  public static var all: [String] { ChatFormat.allCases.map(\.rawValue) }
}
