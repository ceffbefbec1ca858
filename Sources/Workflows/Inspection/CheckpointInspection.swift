import Data
import Formats
import Models

/// What a checkpoint folder holds, found without reading weights.
public struct CheckpointInspection: Sendable {
  /// One file of weights.
  public struct Shard: Sendable {
    /// File name.
    public let name: String
    /// Tensors in it.
    public let tensors: Int
    /// Bytes of tensor data.
    public let bytes: Int
  }

  /// Consecutive blocks of one kind.
  public struct BlockRun: Sendable {
    /// Their indices.
    public let layers: ClosedRange<Int>
    /// What each of them is.
    public let block: BlockConfiguration
  }

  /// The tokenizer's side of the folder.
  public struct TokenizerSummary: Sendable {
    /// One above the largest id.
    public let vocabularySize: Int
    /// Special tokens, by id.
    public let specialTokens: [String]
    /// Name of the chat format; `nil` when the folder does not tell one.
    public let chatFormat: String?
  }

  /// The folder.
  public let path: String
  /// `model_type` of the config.
  public let modelType: String
  /// What the format is called; the model type unless several share it.
  public let format: String
  /// The model as a list of blocks.
  public let configuration: ModelConfiguration
  /// The blocks, equal neighbours together.
  public let blocks: [BlockRun]
  /// Parameters in all, and those one token uses.
  public let parameters: (total: Int, active: Int)
  /// Every tensor, shard by shard.
  public let tensors: [TensorDescription]
  /// Tensors in the files that carry nothing the config does not say.
  public let ignoredTensors: [String]
  /// Bytes of all tensors.
  public let totalBytes: Int
  /// Tensors of each element type, most frequent first.
  public let elementTypes: [(type: ElementType, tensors: Int)]
  /// The files.
  public let shards: [Shard]
  /// The tokenizer; `nil` when the folder has none.
  public let tokenizer: TokenizerSummary?

  /// Checks everything that loading would, short of the weights' values.
  /// - Throws: An error naming the file, tensor or field at fault.
  public init(_ path: String) throws {
    try self.init(ModelFolder(path, access: .pread))
  }

  /// Looks at a folder already opened.
  public init(_ folder: ModelFolder) throws {
    path = folder.path
    modelType = try folder.config.string("model_type")
    format = Swift.type(of: folder.layout).title ?? modelType
    configuration = folder.configuration
    blocks = Self.runs(of: folder.configuration.blocks)
    parameters = folder.configuration.parameterCounts
    tensors = folder.checkpoint.tensors
    ignoredTensors = folder.loader.ignoredTensors
    totalBytes = folder.checkpoint.totalBytes
    var counts: [ElementType: Int] = [:]
    for tensor in tensors { counts[tensor.elementType, default: 0] += 1 }
    elementTypes = counts.map { (type: $0.key, tensors: $0.value) }
      .sorted { ($1.tensors, $0.type.rawValue) < ($0.tensors, $1.type.rawValue) }
    shards = folder.checkpoint.shards.map { file in
      Shard(
        name: file.path.split(separator: "/").last.map(String.init) ?? file.path,
        tensors: file.tensors.count, bytes: file.tensors.reduce(0) { $0 + $1.byteCount })
    }
    _ = try folder.endTokens()
    guard folder.hasTokenizer else {
      tokenizer = nil
      return
    }
    let tokenizer = try folder.tokenizer()
    self.tokenizer = TokenizerSummary(
      vocabularySize: tokenizer.vocabularySize, specialTokens: tokenizer.specialTokens,
      chatFormat: try? folder.chatFormat(tokenizer: tokenizer).rawValue)
  }

  private static func runs(of blocks: [BlockConfiguration]) -> [BlockRun] {
    var runs: [BlockRun] = []
    for (layer, block) in blocks.enumerated() {
      if let last = runs.last, last.block == block {
        runs[runs.count - 1] = BlockRun(layers: last.layers.lowerBound...layer, block: block)
      } else {
        runs.append(BlockRun(layers: layer...layer, block: block))
      }
    }
    return runs
  }
}
