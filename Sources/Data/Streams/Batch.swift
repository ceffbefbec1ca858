/// Sequences of equal length, end to end, for one step of training or evaluation.
///
/// All arrays but `domains` have `sequenceCount * sequenceLength` entries.
public struct Batch: Equatable, Sendable {
  /// The input tokens.
  public var tokens: [Int32] = []
  /// For each input token the token that follows it.
  public var targets: [Int32] = []
  /// 1 where the target counts, else 0; normalization is left to the loss.
  public var lossWeights: [Float] = []
  /// 1 where the target is the next token of the same text, counted in the loss or not; 0 at the ends
  /// of documents and on padding.
  public var followedMask: [Float] = []
  /// The position of each token within its document.
  public var positions: [Int32] = []
  /// For each token the index, within the batch, of the first token of its document; token t
  /// attends to `documentStarts[t]...t`.
  public var documentStarts: [Int32] = []
  /// For each sequence the index of the stream it is drawn from.
  public var domains: [Int] = []
  /// Tokens per sequence.
  public let sequenceLength: Int

  /// A batch without sequences.
  public init(sequenceLength: Int) { self.sequenceLength = sequenceLength }

  /// The number of sequences.
  public var sequenceCount: Int { domains.count }

  /// The sum of the loss weights.
  public var lossTokenCount: Int { lossWeights.count { $0 != 0 } }

  /// Appends `sequenceLength` tokens of a stream from `start` on as one document, with the tokens
  /// that follow them as targets.
  mutating func appendWindow(of stream: TokenStream, from start: Int, domain: Int) {
    let first = Int32(tokens.count)
    let inputs = start..<start + sequenceLength
    tokens += stream.ids[inputs]
    targets += stream.ids[start + 1..<start + sequenceLength + 1]
    lossWeights += stream.lossMask[start + 1..<start + sequenceLength + 1].lazy.map(Float.init)
    followedMask += repeatElement(1, count: sequenceLength)
    positions += 0..<Int32(sequenceLength)
    documentStarts += repeatElement(first, count: sequenceLength)
    domains.append(domain)
  }
}
