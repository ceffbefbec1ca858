import Data
import Evaluation
import Formats
import Models
import Numerics

/// Continues one prompt with a checkpoint's model.
public struct TextGeneration: Sendable {
  /// What is continued.
  public enum Prompt: Sendable, Equatable {
    /// A user's message, put into the chat format, for the assistant to answer.
    case chat(String)
    /// Plain text to go on with.
    case text(String)
  }

  /// The checkpoint folder.
  public var checkpoint: String
  /// What is continued.
  public var prompt: Prompt
  /// The most new tokens; also bounded by the model's positions.
  public var maximumTokens = 256
  /// 0 takes the best token; 1 samples from the model's distribution.
  public var temperature = 0.0
  /// Seed of sampling.
  public var seed: UInt64 = 0
  /// Chat format by name, where the folder does not tell it.
  public var chatFormat: String?
  /// Where to compute.
  public var device = Device.cpu()

  /// A greedy continuation of `prompt`.
  public init(checkpoint: String, prompt: Prompt) {
    self.checkpoint = checkpoint
    self.prompt = prompt
  }

  /// What was generated.
  public struct Result: Sendable {
    /// The text, special tokens left out.
    public let text: String
    /// The new tokens and why there are no more.
    public let reply: Reply
    /// Tokens of the prompt.
    public let promptTokens: Int

    /// The result for machines.
    public var json: JSON {
      [
        "text": JSON(text), "tokens": .array(reply.tokens.map { JSON(Int($0)) }),
        "prompt_tokens": JSON(promptTokens), "ending": JSON(reply.ending.rawValue),
      ]
    }
  }

  /// Generates.
  /// - Parameter onText: Called with each piece of text as soon as its characters are complete.
  public func run(onText: (String) throws -> Void = { _ in }) throws -> Result {
    let folder = try ModelFolder(checkpoint)
    let tokenizer = try folder.tokenizer()
    var stops = try folder.endTokens()
    let ids = try promptTokens(folder, tokenizer, stops: &stops)
    let positions = folder.configuration.maximumPositions
    guard ids.count < positions else {
      throw WorkflowError(
        "the prompt has \(ids.count) tokens, the model \(positions) positions; shorten the prompt")
    }
    let context = try Context(device: device)
    let model = try folder.loader.model(dtype: nil, in: context)
    let limit = min(maximumTokens, positions - ids.count)
    let generator = TextGenerator(model, capacity: ids.count + limit, in: context)
    var sampler = Sampler(temperature: temperature, seed: seed)
    var decoder = StreamingDecoder(tokenizer)
    var text = ""
    func emit(_ piece: String) throws {
      guard !piece.isEmpty else { return }
      text += piece
      try onText(piece)
    }
    let reply = try generator.reply(
      to: ids, sampler: &sampler, stops: stops, limit: limit
    ) { try emit(decoder.append($0)) }
    guard reply.ending != .notFinite else {
      throw WorkflowError(
        "\(checkpoint): the model's scores are not finite; the weights are damaged, or config.json does not belong to them"
      )
    }
    try emit(decoder.finish())
    return Result(text: text, reply: reply, promptTokens: ids.count)
  }

  private func promptTokens(
    _ folder: ModelFolder, _ tokenizer: Tokenizer, stops: inout Set<Int32>
  ) throws -> [Int32] {
    switch prompt {
    case .chat(let message):
      let format = try folder.chatFormat(named: chatFormat, tokenizer: tokenizer)
      let renderer = try ChatRenderer(format: format, tokenizer: tokenizer)
      stops.insert(renderer.endOfTurn)
      return try renderer.renderPrompt([Message(role: "user", content: message)])
    case .text(let text):
      let ids =
        tokenizer.prefixTokens
        + tokenizer.encode(text, addSpecialTokens: false, matchingSpecialTokens: false)
      guard !ids.isEmpty else {
        throw WorkflowError("the prompt is empty and this tokenizer adds no beginning; give a text")
      }
      return ids
    }
  }
}
