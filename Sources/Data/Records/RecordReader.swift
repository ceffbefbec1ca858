import Formats

/// Reads the records of a corpus file one by one: `.jsonl` (one JSON object a line) or `.txt` (the
/// file is one text), each also compressed as `.zst`.
public final class RecordReader {
  /// The file's path.
  public let path: String
  /// How many lines have been read.
  public private(set) var line = 0
  private var source: any ByteSource
  /// Whether the file is one text.
  let isText: Bool
  private var buffer: [UInt8] = []
  private var cursor = 0
  private var isAtEnd = false
  private var records = 0

  /// The longest line and the largest text accepted, in bytes.
  private static let lineLimit = 64 << 20
  private static let textLimit = 1 << 30

  /// - Throws: `RecordError` when the file cannot be opened or its name has no known ending.
  public init(path: String, zstd: ZstdLimits = ZstdLimits()) throws(RecordError) {
    self.path = path
    let isCompressed = path.hasSuffix(".zst")
    let name = isCompressed ? path.dropLast(4) : path[...]
    guard name.hasSuffix(".jsonl") || name.hasSuffix(".txt") else {
      throw RecordError(
        file: path, "unknown kind of corpus; name it .jsonl, .jsonl.zst, .txt or .txt.zst")
    }
    isText = name.hasSuffix(".txt")
    let file = try FileSource(path)
    source = isCompressed ? try ZstdSource(file, path: path, limits: zstd) : file
  }

  /// The next record, `nil` behind the last one. A file without any record is an error.
  public func next() throws(RecordError) -> Record? {
    let record = isText ? try text() : try object()
    if record != nil {
      records += 1
    } else if records == 0 {
      throw RecordError(file: path, "the file has no records; remove it from the list or fill it")
    }
    return record
  }

  private func text() throws(RecordError) -> Record? {
    guard records == 0 else { return nil }
    var bytes: [UInt8] = []
    while true {
      let chunk = try source.next()
      if chunk.isEmpty { break }
      bytes += chunk
      guard bytes.count <= Self.textLimit else {
        throw RecordError(file: path, "the text exceeds 1 GiB; split it into several files")
      }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw RecordError(file: path, "the text is not UTF-8; convert it with iconv")
    }
    return text.isEmpty ? nil : .text(text)
  }

  private func object() throws(RecordError) -> Record? {
    guard let json = try nextJSON() else { return nil }
    do {
      return try Record(json: json)
    } catch {
      throw RecordError(file: path, line: line, error.text)
    }
  }

  /// The next line that is not blank as JSON, `nil` behind the last one.
  func nextJSON() throws(RecordError) -> JSON? {
    while let bytes = try nextLine() {
      if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      do throws(JSONError) {
        return try bytes.withUnsafeBytes { raw in
          Result { () throws(JSONError) in try JSON.parse(raw) }
        }.get()
      } catch {
        throw RecordError(
          file: path, line: line,
          "column \(error.column): \(error.reason); write one JSON object a line")
      }
    }
    return nil
  }

  /// The next line without its newline; the last one need not have any.
  private func nextLine() throws(RecordError) -> ArraySlice<UInt8>? {
    var searched = cursor
    while true {
      if let end = buffer[searched...].firstIndex(of: 0x0A) {
        defer { cursor = end + 1 }
        line += 1
        return buffer[cursor..<end]
      }
      searched = buffer.count - cursor
      buffer.removeFirst(cursor)
      cursor = 0
      guard buffer.count <= Self.lineLimit else {
        throw RecordError(
          file: path, line: line + 1, "the line exceeds 64 MiB; write one record a line")
      }
      let chunk = isAtEnd ? [] : try source.next()
      if chunk.isEmpty {
        isAtEnd = true
        guard !buffer.isEmpty else { return nil }
        line += 1
        defer { buffer = [] }
        return buffer[...]
      }
      buffer += chunk
    }
  }
}
