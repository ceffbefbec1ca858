import Formats

/// The records of one domain as one row of tokens.
public struct TokenStream: Equatable, Sendable {
  /// The tokens of all records, in the order of the files and of the records within them.
  public private(set) var ids: [Int32] = []
  /// For each token 1 where it is learnt or scored as a target, else 0.
  public private(set) var lossMask: [UInt8] = []
  /// The index of each record's first token, ascending.
  public private(set) var documentStarts: [Int] = []
  /// What the records have in common; see `domain(of:)`.
  public var domain: String

  /// A stream without records.
  public init(domain: String) { self.domain = domain }

  /// Appends a record. One without tokens is left out.
  ///
  /// - Precondition: as many mask entries as ids.
  public mutating func append(ids: [Int32], lossMask: [UInt8]) {
    precondition(ids.count == lossMask.count, "ids and mask differ in number")
    guard !ids.isEmpty else { return }
    documentStarts.append(self.ids.count)
    self.ids += ids
    self.lossMask += lossMask
  }

  /// What follows the first `count` tokens; a record that was cut begins where the cut is.
  public func dropping(_ count: Int) -> TokenStream {
    if count <= 0 { return self }
    var rest = TokenStream(domain: domain)
    guard count < ids.count else { return rest }
    rest.ids = Array(ids[count...])
    rest.lossMask = Array(lossMask[count...])
    rest.documentStarts = [0] + documentStarts.filter { $0 > count }.map { $0 - count }
    return rest
  }

  /// The tokens of record `index`.
  public func document(_ index: Int) -> Range<Int> {
    let end = index + 1 < documentStarts.count ? documentStarts[index + 1] : ids.count
    return documentStarts[index]..<end
  }

  /// Tells this stream from one of other records, or of the same ones otherwise rendered.
  public var fingerprint: String {
    let sums =
      ids.withUnsafeBytes { Checksum.of($0).hexadecimal }
      + lossMask.withUnsafeBytes { Checksum.of($0).hexadecimal }
    return "\(domain) \(documentStarts.count) \(Checksum.of(sums).hexadecimal)"
  }

  /// The domain a file belongs to: its name up to the first dot.
  public static func domain(of path: String) -> String {
    let name = path.utf8.split(separator: UInt8(ascii: "/")).last ?? path.utf8[...]
    return String(Substring(name.prefix { $0 != UInt8(ascii: ".") }))
  }
}
