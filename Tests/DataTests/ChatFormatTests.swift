import Data
import Formats
import TestSupport
import Testing

@Suite struct ChatFormatTests {
  @Test func recognisesTemplates() {
    #expect(ChatFormat(template: "{{ '<|start_header_id|>' }}…{{ '<|eot_id|>' }}") == .llama3)
    #expect(ChatFormat(template: "{{ '<|im_start|>' + message['role'] }}") == .chatml)
    #expect(ChatFormat(template: "[INST] <<SYS>>") == .llama2)
    // [INST] alone is Mistral's, which is another format.
    #expect(ChatFormat(template: "[INST] {{ content }}") == nil)
    #expect(ChatFormat(template: "") == nil)
  }

  @Test func detectsFromFolder() throws {
    let folder = TemporaryFolder()
    let all = try ChatFixtures.tokenizer()
    let plain = try ChatFixtures.tokenizer(special: ["<s>", "</s>"])
    let chatml = try ChatFixtures.tokenizer(special: ["<|im_start|>", "<|im_end|>"])
    #expect(try ChatFormat.detect(folder: folder.path, tokenizer: all) == .llama3)
    #expect(try ChatFormat.detect(folder: folder.path, tokenizer: chatml) == .chatml)
    let error = #expect(throws: ChatError.self) {
      try ChatFormat.detect(folder: folder.path, tokenizer: plain)
    }
    #expect(try #require(error).description.contains("--chat-format llama3|llama2|chatml"))
    folder.write("tokenizer_config.json", #"{"chat_template": "[INST] <<SYS>>"}"#)
    #expect(try ChatFormat.detect(folder: folder.path, tokenizer: all) == .llama2)
    folder.write(
      "tokenizer_config.json",
      #"{"chat_template": [{"name": "tool", "template": ""}, {"name": "default", "template": "<|im_start|>"}]}"#
    )
    #expect(try ChatFormat.detect(folder: folder.path, tokenizer: all) == .chatml)
    folder.write("chat_template.jinja", "{{ unknown }}")
    #expect(throws: ChatError.self) {
      try ChatFormat.detect(folder: folder.path, tokenizer: all)
    }
  }
}
