/// One text of calibration data.
public struct CalibrationDocument: Equatable, Sendable {
  /// Token ids.
  public var tokens: [Int32]
  /// Per token 1 where it counts as a target of the language-model loss, else 0.
  public var lossMask: [UInt8]
  /// The kind of text, counted from 0: one for each calibration file.
  public var domain: Int

  /// A text; all of it counts unless a mask says otherwise.
  public init(_ tokens: [Int32], lossMask: [UInt8]? = nil, domain: Int = 0) {
    precondition(lossMask.map { $0.count == tokens.count } ?? true, "a mask of another length")
    self.tokens = tokens
    self.domain = domain
    self.lossMask = lossMask ?? [UInt8](repeating: 1, count: tokens.count)
  }

  /// - Throws: ``ConstructionError`` when there is no token, or one that the model does not have.
  static func check(_ tokens: some Sequence<Int32>, vocabulary: Int) throws(ConstructionError) {
    var isEmpty = true
    for token in tokens {
      isEmpty = false
      guard token >= 0, token < vocabulary else {
        throw ConstructionError(
          .refused,
          "calibration token \(token) is beyond the model's vocabulary of \(vocabulary); the "
            + "tokenizer belongs to another model")
      }
    }
    if isEmpty {
      throw ConstructionError(.refused, "the calibration data holds no text; give --data FILE")
    }
  }
}
