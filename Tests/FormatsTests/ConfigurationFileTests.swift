import Formats
import TestSupport
import Testing

@Suite struct ConfigurationFileTests {
  private let text = """
    {
      "hidden_size": 512,
      "rms_norm_eps": 1e-05,
      "jitter": 0.0,
      "tied": true,
      "pad_token_id": null,
      "eos_token_id": [1, 2],
      "bos_token_id": 8,
      "architectures": ["LlamaForCausalLM"],
      "rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"},
      "blocks": [{"width": 3}, {"width": "x"}]
    }
    """

  private func file() throws -> ConfigurationFile {
    try ConfigurationFile(path: "config.json", bytes: Array(text.utf8))
  }

  @Test func readsFieldsByType() throws {
    let file = try file()
    #expect(try file.integer("hidden_size") == 512)
    #expect(try file.positive("hidden_size") == 512)
    #expect(try file.double("rms_norm_eps") == 1e-5)
    #expect(try file.double("hidden_size") == 512)
    #expect(try file.bool("tied", default: false))
    #expect(try file.integer("absent", default: 3) == 3)
    #expect(try file.optionalInteger("pad_token_id") == nil)
    #expect(!file.contains("pad_token_id"))
    #expect(try file.tokenIDs("eos_token_id") == [1, 2])
    #expect(try file.tokenIDs("bos_token_id") == [8])
    #expect(try file.tokenIDs("pad_token_id") == [])
    #expect(try file.strings("architectures", default: []) == ["LlamaForCausalLM"])
    #expect(try file.section("rope_parameters").string("rope_type") == "default")
    #expect(try file.sections("blocks").count == 2)
    #expect(try file.sections("blocks")[0].integer("width") == 3)
  }

  @Test func errorsNameFileKeyExpectedAndFound() throws {
    let file = try file()
    func message<Value>(_ read: () throws(ConfigurationError) -> Value) -> String {
      do throws(ConfigurationError) {
        _ = try read()
        return "no error"
      } catch {
        return error.description
      }
    }
    #expect(
      message { () throws(ConfigurationError) in try file.integer("jitter") }
        == "config.json: \"jitter\" should be an integer, found a decimal number; correct it")
    #expect(
      message { () throws(ConfigurationError) in try file.string("hidden_size") }
        == "config.json: \"hidden_size\" should be a string, found an integer; correct it")
    #expect(
      message { () throws(ConfigurationError) in try file.integer("hidden_sise") }
        == "config.json: \"hidden_sise\" is missing and should be an integer; "
        + "did you mean \"hidden_size\"?")
    #expect(
      message { () throws(ConfigurationError) in try file.integer("pad_token_id") }
        == "config.json: \"pad_token_id\" should be an integer, found null; correct it")
    #expect(
      message { () throws(ConfigurationError) in try file.sections("blocks")[1].integer("width") }
        == "config.json: blocks[1]: \"width\" should be an integer, found a string; correct it")
    #expect(
      message { () throws(ConfigurationError) in try file.section("rope_parameters").integer("a") }
        == "config.json: rope_parameters: \"a\" is missing and should be an integer; add it")
    #expect(throws: ConfigurationError.self) { try file.integers("architectures", default: []) }
    #expect(throws: ConfigurationError.self) { try file.bool("hidden_size", default: true) }
    #expect(throws: ConfigurationError.self) { try file.tokenIDs("tied") }
    #expect(throws: ConfigurationError.self) { try file.sections("architectures") }
  }

  @Test(arguments: [0, -1, 1 << 41])
  func sizesMustBePositiveAndSane(value: Int) {
    let file = ConfigurationFile(path: "x", object: ["size": JSON(value)])
    #expect(throws: ConfigurationError.self) { try file.positive("size") }
  }

  @Test func editsKeepEveryOtherLine() throws {
    let folder = TemporaryFolder()
    let source = """
      {
        "a": 1.50,
        "name": "caf\\u00e9",
        "list": [
          1,
          2e0
        ],
        "b": 0.0
      }

      """
    let path = folder.write("config.json", source)
    var file = try ConfigurationFile(contentsOf: path)
    #expect(file.serialized() == source)
    file["b"] = "changed"
    file["experts"] = 8
    try file.write(to: path)
    let written = String(decoding: try Files.read(path), as: UTF8.self)
    #expect(
      written == source.replacing("\"b\": 0.0", with: "\"b\": \"changed\",\n  \"experts\": 8"))
  }

  @Test func keepsIndentationAndCharacters() throws {
    let source = "{\n    \"name\": \"café\"\n}\n"
    let file = try ConfigurationFile(path: "x", bytes: Array(source.utf8))
    #expect(file.serialized() == source)
  }

  @Test(arguments: ["", "[]", "1", "{\"a\":1,}", "{\"a\":1,\"a\":2}"])
  func refusesWhatIsNoConfiguration(text: String) {
    let error = #expect(throws: ConfigurationError.self) {
      try ConfigurationFile(path: "config.json", bytes: Array(text.utf8))
    }
    #expect(error?.description.hasPrefix("config.json:") == true)
  }

  @Test func namesAMissingFile() {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/config.json"
    let error = #expect(throws: ConfigurationError.self) { try ConfigurationFile(contentsOf: path) }
    #expect(error?.description.contains(path) == true)
  }
}
