/// A stretch of calibration tokens that belong together: one text of one kind.
public struct CalibrationSegment: Equatable, Sendable {
  /// Its tokens.
  public var tokens: Int
  /// The kind of text, counted from 0: one for each calibration file.
  public var domain: Int

  /// A stretch of `tokens` tokens.
  public init(tokens: Int, domain: Int = 0) {
    self.tokens = tokens
    self.domain = domain
  }

  /// Segments of at most `limit` tokens, which together are the same.
  static func cut(_ segments: [CalibrationSegment], atMost limit: Int) -> [CalibrationSegment] {
    segments.flatMap { segment in
      stride(from: 0, to: segment.tokens, by: limit).map {
        CalibrationSegment(tokens: min(limit, segment.tokens - $0), domain: segment.domain)
      }
    }
  }
}
