import CZstd
import TestSupport
import Testing

@testable import Data

@Suite struct ZstdTests {
  private func compressed(_ bytes: [UInt8], windowLog: Int32? = nil) throws -> [UInt8] {
    let context = try #require(ZSTD_createCCtx())
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    if let windowLog {
      ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, windowLog)
      ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)
    }
    var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count) + 64)
    var size = 0
    output.withUnsafeMutableBytes { to in
      bytes.withUnsafeBytes { from in
        var input = ZSTD_inBuffer(src: from.baseAddress, size: from.count, pos: 0)
        var target = ZSTD_outBuffer(dst: to.baseAddress, size: to.count, pos: 0)
        // In two parts, so that the size is unknown and the window comes from the parameter.
        input.size = from.count / 2
        _ = ZSTD_compressStream2(context, &target, &input, ZSTD_e_continue)
        input.size = from.count
        _ = ZSTD_compressStream2(context, &target, &input, ZSTD_e_end)
        size = target.pos
      }
    }
    return Array(output.prefix(size))
  }

  private func decompressed(_ bytes: [UInt8], _ limits: ZstdLimits = ZstdLimits()) throws -> [UInt8]
  {
    let folder = TemporaryFolder()
    let path = folder.write("x.zst", bytes)
    let source = try ZstdSource(FileSource(path), path: path, limits: limits)
    var result: [UInt8] = []
    while true {
      let chunk = try source.next()
      if chunk.isEmpty { return result }
      result += chunk
    }
  }

  private func text(_ count: Int) -> [UInt8] {
    var random = SeededGenerator(seed: 1)
    return (0..<count).map { _ in UInt8.random(in: 97...110, using: &random) }
  }

  @Test func readsFramesInARow() throws {
    let (first, second) = (text(700_000), text(300))
    let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 9, 9, 9]
    let bytes = try skippable + compressed(first) + skippable + compressed(second) + skippable
    #expect(try decompressed(bytes) == first + second)
    #expect(try decompressed([]).isEmpty)
  }

  @Test func refusesCutFrames() throws {
    let whole = try compressed(text(5000))
    for count in [1, 3, 4, 6, 20, whole.count / 2, whole.count - 1] {
      #expect(throws: RecordError.self, "\(count)") {
        try decompressed(Array(whole.prefix(count)))
      }
    }
    #expect(throws: RecordError.self) { try decompressed(whole + [1, 2, 3, 4, 5, 6, 7, 8]) }
  }

  @Test func refusesDamage() throws {
    let whole = try compressed(text(3000))
    var mutator = Mutator(seed: 4)
    for _ in 0..<300 {
      let damaged = mutator.mutate(whole)
      // Refused, or by the checksum the same content; a doubled frame is two frames.
      if let result = try? decompressed(damaged), !result.isEmpty {
        #expect(result.count % 3000 == 0)
      }
    }
  }

  @Test func refusesBombs() throws {
    let bomb = try compressed([UInt8](repeating: 0x20, count: 20 << 20))
    #expect(bomb.count < 10_000)
    let ratio = #expect(throws: RecordError.self) { try decompressed(bomb) }
    #expect(try #require(ratio).description.contains("1000 times"))
    let output = #expect(throws: RecordError.self) {
      try decompressed(bomb, ZstdLimits(maximumOutput: 1 << 20))
    }
    #expect(try #require(output).description.contains("1048576 bytes"))
  }

  @Test func refusesLargeWindows() throws {
    let bytes = try compressed(text(4000), windowLog: 21)
    #expect(try decompressed(bytes).count == 4000)
    let error = #expect(throws: RecordError.self) {
      try decompressed(bytes, ZstdLimits(windowLog: 20))
    }
    #expect(try #require(error).description.contains("memory"))
  }
}
