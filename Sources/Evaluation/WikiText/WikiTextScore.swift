import Formats
import Glibc

/// Perplexities of WikiText-2, each with the definition it follows: published numbers under this
/// name differ by factors.
public struct WikiTextScore: Sendable, Equatable {
  /// `e^(mean cross-entropy)` per token; see ``tokenDefinition``.
  public let tokenPerplexity: Double
  /// Tokens that entered the mean.
  public let tokens: Int
  /// `e^(total cross-entropy / words)`; see ``wordDefinition``.
  public let wordPerplexity: Double
  /// Total cross-entropy in bits over the bytes of the original text.
  public let bitsPerByte: Double
  /// Words of the original text.
  public let words: Int
  /// Articles.
  public let documents: Int
  /// Tokens per window.
  public let window: Int

  /// What ``tokenPerplexity`` is.
  public var tokenDefinition: String {
    "GPTQ: non-blank lines keep their newline, rows joined by two newlines, tokenised once with "
      + "the tokenizer's special tokens, disjoint windows of \(window), a rest dropped, "
      + "\(window - 1) targets per window"
  }

  /// What ``wordPerplexity`` is.
  public var wordDefinition: String {
    "lm-evaluation-harness wikitext: rolling log-likelihood of each detokenised article after the "
      + "beginning-of-sequence token, windows of \(window) with one token of context and the last "
      + "one filled up with context, over the white-space separated words of the original article"
  }

  /// The score for machines.
  public var json: JSON {
    [
      "token": [
        "perplexity": JSON(tokenPerplexity), "tokens": JSON(tokens),
        "definition": JSON(tokenDefinition),
      ],
      "word": [
        "perplexity": JSON(wordPerplexity), "words": JSON(words), "documents": JSON(documents),
        "bits_per_byte": JSON(bitsPerByte), "byte_perplexity": JSON(exp2(bitsPerByte)),
        "definition": JSON(wordDefinition),
      ],
      "window": JSON(window),
    ]
  }
}
