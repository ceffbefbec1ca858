import Formats
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
  @Test(arguments: [SafetensorsFile.Access.mapped, .pread])
  func readsTensorsAndSlices(access: SafetensorsFile.Access) throws {
    let folder = TemporaryFolder()
    let file = try SafetensorsFile(path: folder.write("x.safetensors", twoTensors), access: access)
    #expect(file.metadata == ["format": "pt"])
    #expect(file.tensors.map(\.name) == ["a", "b"])
    #expect(file["a"]?.shape == [2, 3])
    #expect(file["a"]?.elementCount == 6)
    #expect(file["b"]?.byteRange == 24..<32)
    #expect(file["c"] == nil)
    #expect(try bytes(of: "a", in: file) == Array(0..<24))
    #expect(try bytes(of: "b", in: file) == Array(24..<32))
    let rows = try #require(file["a"]).byteRange(ofRows: 1..<2)
    #expect(rows == 12..<24)
    var slice = [UInt8](repeating: 0xff, count: rows.count)
    try slice.withUnsafeMutableBytes { try file.read("a", bytes: rows, into: $0) }
    #expect(slice == Array(12..<24))
  }

  @Test func refusesWrongBuffersAndRanges() throws {
    let folder = TemporaryFolder()
    let file = try SafetensorsFile(path: folder.write("x.safetensors", twoTensors))
    func reason(_ name: String, _ bytes: Range<Int>?, _ count: Int) -> SafetensorsError.Reason? {
      var buffer = [UInt8](repeating: 0, count: count)
      return #expect(throws: SafetensorsError.self) {
        try buffer.withUnsafeMutableBytes { try file.read(name, bytes: bytes, into: $0) }
      }?.reason
    }
    #expect(
      reason("a", nil, 23) == .invalidTensorView(tensor: "a", needed: 24, bufferBytes: 23))
    #expect(
      reason("a", 20..<28, 8) == .bytesOutOfRange(tensor: "a", bytes: 20..<28, count: 24))
    #expect(reason("a", -4..<4, 8) == .bytesOutOfRange(tensor: "a", bytes: -4..<4, count: 24))
    #expect(reason("bb", nil, 0) == .tensorNotFound(name: "bb", nearest: "b"))
    let tensor = try #require(file["a"])
    #expect(throws: SafetensorsError.self) { try tensor.byteRange(ofRows: 1..<3) }
  }

  @Test func slicesBelowBytesMustAlign() throws {
    let folder = TemporaryFolder()
    let header = "{" + entry("q", "F4", "[4,3]", "[0,6]") + "}"
    let file = try SafetensorsFile(path: folder.write("x", safetensors(header, data: 6)))
    let tensor = try #require(file["q"])
    #expect(try tensor.byteRange(ofRows: 0..<2) == 0..<3)
    let error = #expect(throws: SafetensorsError.self) { try tensor.byteRange(ofRows: 1..<2) }
    #expect(error?.reason == .misalignedSlice(tensor: "q"))
  }

  @Test func alignsBytesOfUnpaddedFiles() throws {
    let folder = TemporaryFolder()
    for padding in 0..<8 {
      let header =
        "{" + entry("a", "F64", "[1]", "[0,8]") + "}" + String(repeating: " ", count: padding)
      let file = try SafetensorsFile(path: folder.write("\(padding)", safetensors(header, data: 8)))
      try file.withBytes(of: "a") { #expect($0.load(as: Double.self) == 0) }
    }
  }

  @Test(arguments: [SafetensorsFile.Access.mapped, .pread])
  func aFileCutShortMeanwhileIsAnErrorToReaders(access: SafetensorsFile.Access) throws {
    let folder = TemporaryFolder()
    let path = folder.write("x.safetensors", twoTensors)
    let file = try SafetensorsFile(path: path, access: access)
    folder.write("x.safetensors", Array(twoTensors.dropLast(16)))
    var buffer = [UInt8](repeating: 0, count: 24)
    #expect(throws: SafetensorsError.self) {
      try buffer.withUnsafeMutableBytes { try file.read("a", into: $0) }
    }
  }

  @Test func emptyTensorsRead() throws {
    let folder = TemporaryFolder()
    let header = "{" + entry("z", "F64", "[3,0]", "[0,0]") + "}"
    for access in [SafetensorsFile.Access.mapped, .pread] {
      let file = try SafetensorsFile(
        path: folder.write("x", safetensors(header)), access: access)
      #expect(try bytes(of: "z", in: file).isEmpty)
    }
  }
}
