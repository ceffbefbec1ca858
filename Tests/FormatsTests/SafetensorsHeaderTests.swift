import Formats
import TestSupport
import Testing

/// Every rule of the format has a file that breaks it.
@Suite struct SafetensorsHeaderTests {
  private func reason(_ bytes: [UInt8]) -> SafetensorsError.Reason? {
    let folder = TemporaryFolder()
    let path = folder.write("x.safetensors", bytes)
    let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
    #expect(error?.file == path)
    #expect(error?.description.contains(path) == true)
    #expect(error?.description.contains("\n") == false)
    return error?.reason
  }

  private func isDeserialization(_ reason: SafetensorsError.Reason?) -> Bool {
    if case .invalidHeaderDeserialization = reason { true } else { false }
  }

  @Test func headerTooSmall() {
    #expect(reason([]) == .headerTooSmall(fileBytes: 0))
    #expect(reason([1, 2, 3]) == .headerTooSmall(fileBytes: 3))
  }

  @Test func headerTooLarge() {
    #expect(
      reason(littleEndian(100_000_001) + [0x7b, 0x7d])
        == .headerTooLarge(headerBytes: 100_000_001))
    #expect(reason(littleEndian(.max)) == .headerTooLarge(headerBytes: .max))
  }

  @Test func invalidHeaderLength() {
    #expect(
      reason(littleEndian(60) + [0x7b, 0x7d])
        == .invalidHeaderLength(headerBytes: 60, fileBytes: 10))
    #expect(
      reason(littleEndian(100_000_000))
        == .invalidHeaderLength(
          headerBytes: 100_000_000, fileBytes: 8))
  }

  @Test func invalidHeader() {
    #expect(reason(safetensors([0x7b, 0x22, 0xff, 0x22, 0x7d])) == .invalidHeader)
    #expect(reason(safetensors([0xff, 0xfe])) == .invalidHeader)
  }

  @Test func invalidHeaderStart() {
    #expect(reason(safetensors(" {}")) == .invalidHeaderStart)
    #expect(reason(safetensors("[]")) == .invalidHeaderStart)
    #expect(reason(safetensors("")) == .invalidHeaderStart)
  }

  @Test(arguments: [
    "{", "{}x", "{}\0", "{\"a\":1}", "{\"a\":{}}", "{\"a\":null}",
    "{" + entry("a", "F33", "[]", "[0,0]") + "}",
    "{" + entry("a", "f32", "[1]", "[0,4]") + "}",
    "{" + entry("a", "F32", "1", "[0,4]") + "}",
    "{" + entry("a", "F32", "[1.0]", "[0,4]") + "}",
    "{" + entry("a", "F32", "[1e0]", "[0,4]") + "}",
    "{" + entry("a", "F32", "[-1]", "[0,4]") + "}",
    "{" + entry("a", "F32", "[-0]", "[0,0]") + "}",
    "{" + entry("a", "F32", "[\"1\"]", "[0,4]") + "}",
    "{" + entry("a", "F32", "[1]", "[4]") + "}",
    "{" + entry("a", "F32", "[1]", "[0,4,8]") + "}",
    "{" + entry("a", "F32", "[1]", "[0,null]") + "}",
    "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}",
    "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}",
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}",
    "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
    "{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("a", "F32", "[1]", "[0,4]") + "}",
    "{\"__metadata__\":[]}", "{\"__metadata__\":{\"a\":1}}", "{\"__metadata__\":{\"a\":null}}",
    "{\"__metadata__\":{},\"__metadata__\":{}}", "{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}",
  ])
  func invalidHeaderDeserialization(header: String) {
    #expect(isDeserialization(reason(safetensors(header, data: 4))))
  }

  @Test func tensorInvalidInfo() {
    #expect(
      reason(safetensors("{" + entry("a", "F32", "[2,2]", "[0,4]") + "}", data: 4))
        == .tensorInvalidInfo(tensor: "a", needed: 16, spanned: 4))
    #expect(
      reason(safetensors("{" + entry("a", "F4", "[1,2]", "[0,2]") + "}", data: 2))
        == .tensorInvalidInfo(tensor: "a", needed: 1, spanned: 2))
  }

  @Test func invalidOffset() {
    func offset(_ first: String, _ second: String) -> SafetensorsError.Reason? {
      reason(
        safetensors(
          "{" + entry("a", "U8", "[4]", first) + "," + entry("b", "U8", "[4]", second) + "}",
          data: 8))
    }
    #expect(
      offset("[0,4]", "[0,4]") == .invalidOffset(tensor: "b", begin: 0, end: 4, expectedBegin: 4))
    #expect(
      offset("[0,4]", "[2,6]") == .invalidOffset(tensor: "b", begin: 2, end: 6, expectedBegin: 4))
    #expect(
      offset("[0,4]", "[5,9]") == .invalidOffset(tensor: "b", begin: 5, end: 9, expectedBegin: 4))
    #expect(
      offset("[1,5]", "[5,9]") == .invalidOffset(tensor: "a", begin: 1, end: 5, expectedBegin: 0))
    #expect(
      offset("[4,0]", "[4,8]") == .invalidOffset(tensor: "a", begin: 4, end: 0, expectedBegin: 4))
  }

  @Test func validationOverflow() {
    let half = "4611686018427387904"
    for shape in ["[\(half),4]", "[\(half)]", "[9223372036854775808]", "[4294967296,4294967296]"] {
      #expect(
        reason(safetensors("{" + entry("a", "F32", shape, "[0,4]") + "}", data: 4))
          == .validationOverflow(tensor: "a"))
    }
    // Overflow on the way counts even where a zero follows.
    #expect(
      reason(safetensors("{" + entry("a", "F32", "[\(half),4,0]", "[0,0]") + "}"))
        == .validationOverflow(tensor: "a"))
  }

  @Test func metadataIncompleteBuffer() {
    let header = "{" + entry("a", "U8", "[4]", "[0,4]") + "}"
    #expect(
      reason(safetensors(header, data: 3))
        == .metadataIncompleteBuffer(describedBytes: 4, dataBytes: 3))
    #expect(
      reason(safetensors(header, data: 5))
        == .metadataIncompleteBuffer(describedBytes: 4, dataBytes: 5))
    #expect(
      reason(safetensors("{}", data: 1))
        == .metadataIncompleteBuffer(describedBytes: 0, dataBytes: 1))
  }

  @Test func misalignedSlice() {
    #expect(
      reason(safetensors("{" + entry("a", "F4", "[1,3]", "[0,2]") + "}", data: 2))
        == .misalignedSlice(tensor: "a"))
    #expect(
      reason(safetensors("{" + entry("a", "F6_E2M3", "[2]", "[0,2]") + "}", data: 2))
        == .misalignedSlice(tensor: "a"))
  }

  @Test func gitLFSPointer() {
    #expect(reason(Array("version https://git-lfs.github.com/spec/v1\n".utf8)) == .pointerFile)
  }

  @Test func missingFilesAndFolders() {
    let folder = TemporaryFolder()
    for path in ["\(folder.path)/none.safetensors", folder.path] {
      let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
      if case .file = error?.reason {} else { Issue.record("\(String(describing: error))") }
    }
  }

  @Test(arguments: [
    ("{}", 0), ("{}   ", 0), ("{} \n\t", 0), ("{\"__metadata__\":null}", 0),
    ("{\"__metadata__\":{\"k\":\"v\"}}", 0),
    ("{" + entry("s", "F32", "[]", "[0,4]") + "}", 4),
    ("{" + entry("z", "F64", "[3,0,2]", "[0,0]") + "}", 0),
    ("{" + entry("z", "F32", "[0]", "[0,0]") + "," + entry("y", "F32", "[0]", "[0,0]") + "}", 0),
    ("{" + entry("q", "F4", "[3,2]", "[0,3]") + "}", 3),
    ("{" + entry("q", "F6_E3M2", "[4]", "[0,3]") + "}", 3),
    ("{" + entry("b", "U8", "[2]", "[2,4]") + "," + entry("a", "U8", "[2]", "[0,2]") + "}", 4),
    ("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"extra\":1}}", 1),
  ])
  func acceptsWhatTheFormatAllows(header: String, data: Int) throws {
    let folder = TemporaryFolder()
    let path = folder.write("x.safetensors", safetensors(header, data: data))
    let file = try SafetensorsFile(path: path)
    #expect(file.header.dataCount == data)
    #expect(
      file.tensors.map(\.byteRange.lowerBound) == file.tensors.map(\.byteRange.lowerBound).sorted())
  }

  @Test func knowsEveryElementType() {
    let widths: [String: Int] = [
      "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8,
      "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
      "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
      "U64": 64,
    ]
    #expect(ElementType.allCases.count == widths.count)
    for type in ElementType.allCases { #expect(widths[type.rawValue] == type.bitWidth) }
    let alignments = ElementType.allCases.map { max(8, $0.bitWidth) }
    #expect(alignments == alignments.sorted())
  }

  @Test func laysOutAsTheReferenceDoes() throws {
    let header = try SafetensorsHeader(
      [
        TensorDeclaration(name: "attn.0", elementType: .f32, shape: [1, 2, 3])
      ], metadata: [:])
    let json = "{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}"
    #expect(header.encoded() == littleEndian(64) + Array(json.utf8))
    let empty = try SafetensorsHeader([], metadata: ["framework": "pt"])
    let padded = "{\"__metadata__\":{\"framework\":\"pt\"}}     "
    #expect(empty.encoded() == littleEndian(40) + Array(padded.utf8))
    let mixed = try SafetensorsHeader(
      [
        TensorDeclaration(name: "b", elementType: .bf16, shape: [1]),
        TensorDeclaration(name: "d", elementType: .f16, shape: [1]),
        TensorDeclaration(name: "c", elementType: .i64, shape: []),
        TensorDeclaration(name: "a", elementType: .bf16, shape: [2]),
        TensorDeclaration(name: "e", elementType: .u8, shape: [3]),
      ], metadata: [:])
    #expect(mixed.tensors.map(\.name) == ["c", "a", "b", "d", "e"])
  }
}
