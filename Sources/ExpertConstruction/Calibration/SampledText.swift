import Models
import Numerics

/// Calibration text written by the dense model itself, for conversions without data.
public enum SampledText {
  /// Samples documents at temperature 1, each from the given first tokens.
  ///
  /// - Parameters:
  ///   - prompts: First tokens, taken in turn; usually the token that begins every text.
  ///   - tokens: Tokens in all.
  ///   - documentLength: The longest document.
  ///   - stop: Tokens after which a document ends.
  public static func documents(
    from model: LanguageModel, prompts: [[Int32]], tokens: Int, documentLength: Int = 256,
    stop: Set<Int32>, seed: UInt64, in context: Context
  ) throws -> [[Int32]] {
    guard !prompts.isEmpty, prompts.allSatisfy({ !$0.isEmpty }) else {
      throw ConstructionError(
        .refused,
        "the tokenizer names no token that begins a text, so none can be sampled; give --data FILE")
    }
    var documents: [[Int32]] = []
    var remaining = tokens
    while remaining > 0 {
      let prompt = prompts[documents.count % prompts.count]
      var sampler = Sampler(temperature: 1, seed: seed &+ UInt64(documents.count))
      let generator = TextGenerator(model, capacity: documentLength, in: context)
      var text = prompt
      var scores = generator.read(prompt)
      let length = min(documentLength, max(prompt.count + 1, remaining))
      while text.count < length {
        let next = sampler.next(context.read(scores))
        text.append(next)
        if stop.contains(next) || text.count == length { break }
        scores = generator.read([next])
      }
      documents.append(text)
      remaining -= text.count
    }
    return documents
  }
}
