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
    /// Plain text to go on with; behind a saved text it may be empty.
    case text(String)
  }

  /// The checkpoint folder.
  public var checkpoint: String
  /// What is continued.
  public var prompt: Prompt
  /// The most new tokens; also bounded by the model's positions.
  public var maximumTokens = 256
  /// A file with what the model remembers of a text that the prompt goes on from.
  public var savedText: String?
  /// The file to write with what the model remembers of the text up to the end of the prompt.
  public var savingTo: String?
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
    if let savingTo, Files.exists(savingTo) {
      throw WorkflowError("\(savingTo): exists already; remove it or choose another name")
    }
    let context = try Context(device: device)
    let saved = try savedText.map { try SavedMemory($0, of: folder, in: context) }
    let ids =
      (saved.map { [$0.lastToken] } ?? [])
      + (try promptTokens(folder, tokenizer, stops: &stops))
    let start = saved?.position ?? 0
    let positions = folder.configuration.maximumPositions
    guard start + ids.count < positions else {
      throw WorkflowError(
        "the text has \(start + ids.count) tokens, the model \(positions) positions; shorten the prompt"
      )
    }
    let model = try folder.loader.model(dtype: nil, in: context)
    let limit = min(maximumTokens, positions - start - ids.count)
    let generator = TextGenerator(model, capacity: start + ids.count + limit, in: context)
    if let saved, let savedText { try saved.restore(generator, from: savedText) }
    var unread = ids
    if let savingTo, let last = ids.last {
      if ids.count > 1 { _ = generator.read(Array(ids.dropLast())) }
      unread = [last]
      try SavedMemory.write(generator, lastToken: last, of: folder, to: savingTo, in: context)
    }
    var sampler = Sampler(temperature: temperature, seed: seed)
    var decoder = StreamingDecoder(tokenizer)
    var text = ""
    func emit(_ piece: String) throws {
      guard !piece.isEmpty else { return }
      text += piece
      try onText(piece)
    }
    let reply = try generator.reply(
      to: unread, sampler: &sampler, stops: stops, limit: limit
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
        (savedText == nil ? tokenizer.prefixTokens : [])
        + tokenizer.encode(text, addSpecialTokens: false, matchingSpecialTokens: false)
      guard !ids.isEmpty || savedText != nil else {
        throw WorkflowError("the prompt is empty and this tokenizer adds no beginning; give a text")
      }
      return ids
    }
  }
}
