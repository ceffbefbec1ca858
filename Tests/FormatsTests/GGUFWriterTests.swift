import Formats
import TestSupport
import Testing

/// The file format, byte by byte as its specification (version 3) has it.
@Suite struct GGUFWriterTests {
  private let folder = TemporaryFolder()
  private var path: String { "\(folder.path)/model.gguf" }

  @Test func bytesOfASmallFile() throws {
    let writer = try GGUFWriter(
      path,
      metadata: [
        ("a", .u32(7)), ("b", .string("hé")), ("c", .bool(true)), ("d", .f32(1.5)),
        ("e", .i32s([-1, 2])), ("f", .strings(["x", ""])),
      ],
      tensors: [
        GGUFTensor(name: "t", elementType: .f32, shape: [2, 3]),
        GGUFTensor(name: "u", elementType: .bf16, shape: [1]),
      ])
    let values: [Float] = [1, 2, 3, 4, 5, 6]
    try values.withUnsafeBytes { try writer.write("t", $0) }
    try [UInt8](arrayLiteral: 0x80, 0x3f).withUnsafeBytes { try writer.write("u", $0) }
    #expect(folder.names != ["model.gguf"])
    try writer.finish()
    #expect(folder.names == ["model.gguf"])
    func u32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
    func u64(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
    func text(_ value: String) -> [UInt8] { u64(UInt64(value.utf8.count)) + Array(value.utf8) }
    var expected = Array("GGUF".utf8) + u32(3) + u64(2) + u64(6)
    expected += text("a") + u32(4) + u32(7)
    expected += text("b") + u32(8) + text("hé")
    expected += text("c") + u32(7) + [1]
    expected += text("d") + u32(6) + u32(0x3fc0_0000)
    expected += text("e") + u32(9) + u32(5) + u64(2) + u32(0xffff_ffff) + u32(2)
    expected += text("f") + u32(9) + u32(8) + u64(2) + text("x") + text("")
    // Dimensions are listed innermost first, offsets count from the aligned end of the header.
    expected += text("t") + u32(2) + u64(3) + u64(2) + u32(0) + u64(0)
    expected += text("u") + u32(1) + u64(1) + u32(30) + u64(32)
    expected += [UInt8](repeating: 0, count: (32 - expected.count % 32) % 32)
    expected += values.withUnsafeBytes(Array.init) + [UInt8](repeating: 0, count: 8)
    expected += [0x80, 0x3f] + [UInt8](repeating: 0, count: 30)
    #expect(try Files.read(path) == expected)
  }

  @Test func unfinishedFilesAreRemoved() throws {
    do {
      let writer = try GGUFWriter(
        path, metadata: [], tensors: [GGUFTensor(name: "t", elementType: .q8_0, shape: [32])])
      try [UInt8](repeating: 0, count: 33).withUnsafeBytes { try writer.write("t", $0) }
      let error = #expect(throws: GGUFError.self) { try writer.finish() }
      #expect(error?.description.contains("33..<34") == true)
      let twice = #expect(throws: GGUFError.self) {
        try [UInt8](repeating: 0, count: 2).withUnsafeBytes { try writer.write("t", at: 32, $0) }
      }
      #expect(twice?.description.contains("written twice") == true)
      let beyond = #expect(throws: GGUFError.self) {
        try [UInt8](repeating: 0, count: 2).withUnsafeBytes { try writer.write("t", at: 33, $0) }
      }
      #expect(beyond?.description.contains("beyond the 34") == true)
      #expect(throws: GGUFError.self) {
        try [UInt8]().withUnsafeBytes { try writer.write("v", $0) }
      }
    }
    #expect(folder.names.isEmpty)
  }

  @Test(arguments: [
    ([GGUFTensor(name: "t", elementType: .q8_0, shape: [2, 33])], "rows of 33"),
    ([GGUFTensor(name: "t", elementType: .f32, shape: [])], "1 to 4"),
    ([GGUFTensor(name: "t", elementType: .f32, shape: [1, 1, 1, 1, 1])], "1 to 4"),
    ([GGUFTensor(name: "t", elementType: .f32, shape: [0])], "positive"),
    ([GGUFTensor(name: String(repeating: "t", count: 64), elementType: .f32, shape: [1])], "63"),
    (Array(repeating: GGUFTensor(name: "t", elementType: .f32, shape: [1]), count: 2), "twice"),
  ])
  func refusesWhatReadersRefuse(tensors: [GGUFTensor], words: String) {
    let error = #expect(throws: GGUFError.self) {
      try GGUFWriter(path, metadata: [], tensors: tensors)
    }
    #expect(error?.description.contains(words) == true)
    #expect(folder.names.isEmpty)
  }

  @Test func replacesOnlyByForce() throws {
    folder.write("model.gguf", "mine")
    #expect(throws: FileError.self) { try GGUFWriter(path, metadata: [], tensors: []) }
    #expect(throws: GGUFError.self) {
      try GGUFWriter(
        "\(folder.path)/other.gguf", metadata: [("a", .u32(1)), ("a", .u32(1))], tensors: [])
    }
    try GGUFWriter(path, force: true, metadata: [], tensors: []).finish()
    #expect(try Files.read(path).count == 32)
    #expect(throws: GGUFError.self) { try GGUFValue.count(1 << 32, "rows") }
  }
}
