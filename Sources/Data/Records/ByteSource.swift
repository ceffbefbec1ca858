/// A file's content in chunks.
protocol ByteSource {
  /// The next chunk, empty at the end.
  mutating func next() throws(RecordError) -> [UInt8]
}
