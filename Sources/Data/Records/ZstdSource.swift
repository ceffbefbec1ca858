import CZstd

/// Bounds on decompression, so that a small hostile file costs little.
public struct ZstdLimits: Sendable {
  /// The most bytes a file may decompress to.
  public var maximumOutput: Int
  /// The largest window, as a power of two; frames that ask for more are refused.
  public var windowLog: Int
  /// The most output bytes per input byte, counted once the output exceeds `ratioFree` bytes.
  public var maximumRatio: Int
  /// Output bytes up to which any ratio is accepted.
  public var ratioFree: Int

  /// Bounds, each with a generous default.
  public init(
    maximumOutput: Int = 64 << 30, windowLog: Int = 27, maximumRatio: Int = 1000,
    ratioFree: Int = 16 << 20
  ) {
    self.maximumOutput = maximumOutput
    self.windowLog = windowLog
    self.maximumRatio = maximumRatio
    self.ratioFree = ratioFree
  }
}

/// Decompresses zstd frames as they come: several in a row, skippable ones among them.
///
/// Sizes in frame headers are not trusted; a frame cut short or followed by anything but a frame
/// is an error.
final class ZstdSource: ByteSource {
  private let path: String
  private var source: any ByteSource
  private let limits: ZstdLimits
  private let stream: OpaquePointer
  private var input: [UInt8] = []
  private var consumed = 0
  private var totalIn = 0
  private var totalOut = 0
  private var isInFrame = false
  private var isAtEnd = false

  init(_ source: any ByteSource, path: String, limits: ZstdLimits) throws(RecordError) {
    guard let stream = ZSTD_createDCtx() else {
      throw RecordError(file: path, "no memory to decompress")
    }
    ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, Int32(limits.windowLog))
    self.source = source
    self.path = path
    self.limits = limits
    self.stream = stream
  }

  deinit { ZSTD_freeDCtx(stream) }

  func next() throws(RecordError) -> [UInt8] {
    while true {
      if consumed == input.count, !isAtEnd { try refill() }
      let produced = try decompress()
      if !produced.isEmpty {
        totalOut += produced.count
        try checkLimits()
        return produced
      }
      guard isAtEnd, consumed == input.count else { continue }
      guard !isInFrame else {
        throw RecordError(file: path, "the zstd data is cut short; copy the file again")
      }
      return []
    }
  }

  private func refill() throws(RecordError) {
    input = try source.next()
    consumed = 0
    totalIn += input.count
    isAtEnd = input.isEmpty
  }

  /// One call of the library; without input it gives out what its buffers still hold.
  private func decompress() throws(RecordError) -> [UInt8] {
    var status = 0
    let start = consumed
    let output = [UInt8](unsafeUninitializedCapacity: ZSTD_DStreamOutSize()) {
      buffer, initialized in
      input.withUnsafeBytes { bytes in
        var from = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: consumed)
        var to = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        status = ZSTD_decompressStream(stream, &to, &from)
        consumed = from.pos
        initialized = to.pos
      }
    }
    if ZSTD_isError(status) != 0 {
      let reason = String(cString: ZSTD_getErrorName(status))
      throw RecordError(file: path, "not valid zstd data (\(reason)); compress it again with zstd")
    }
    if consumed > start || !output.isEmpty { isInFrame = status != 0 }
    return output
  }

  private func checkLimits() throws(RecordError) {
    if totalOut > limits.maximumOutput {
      throw RecordError(
        file: path,
        "decompresses to more than \(limits.maximumOutput) bytes; split it into smaller files")
    }
    if totalOut > limits.ratioFree, totalOut / max(totalIn, 1) > limits.maximumRatio {
      throw RecordError(
        file: path,
        "decompresses to over \(limits.maximumRatio) times its size, which no corpus does; "
          + "check where it comes from")
    }
  }
}
