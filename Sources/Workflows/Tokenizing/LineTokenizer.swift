import Formats

/// Turns lines of text into ids and back with a checkpoint's tokenizer.
public struct LineTokenizer: Sendable {
  /// The tokenizer.
  public let tokenizer: Tokenizer
  /// Whether encoding adds, and decoding leaves out, the tokenizer's special tokens.
  public let usesSpecialTokens: Bool

  /// Reads the tokenizer of a checkpoint folder; no other file of it is needed.
  public init(checkpoint: String, usesSpecialTokens: Bool = false) throws {
    guard Files.isFolder(checkpoint) else {
      throw WorkflowError("\(checkpoint): no such folder; give the folder of tokenizer.json")
    }
    tokenizer = try Tokenizer(folder: checkpoint)
    self.usesSpecialTokens = usesSpecialTokens
  }

  /// The ids of a line.
  public func ids(of line: String) -> [Int32] {
    tokenizer.encode(line, addSpecialTokens: usesSpecialTokens)
  }

  /// The text of a line of ids, separated by white space or commas.
  /// - Parameter place: The line, for errors.
  /// - Throws: ``WorkflowError`` naming what is not an id of the vocabulary.
  public func text(of line: String, at place: String) throws -> String {
    var ids: [Int32] = []
    for word in line.split(whereSeparator: { " \t\r,[]".contains($0) }) {
      guard let id = Int32(word), id >= 0, Int(id) < tokenizer.vocabularySize else {
        throw WorkflowError(
          "\(place): \"\(word.prefix(40))\" is not an id below \(tokenizer.vocabularySize); give ids separated by spaces"
        )
      }
      ids.append(id)
    }
    return tokenizer.decode(ids, skipSpecial: usesSpecialTokens)
  }
}
