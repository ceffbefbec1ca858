import Data
import Formats

/// A byte-level tokenizer without merges, whose ids are bytes plus some special tokens.
enum ChatFixtures {
  static let special = [
    "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>",
    "<|im_end|>", "<s>", "</s>",
  ]

  static func tokenizer(special: [String] = special, bos: String? = nil) throws -> Tokenizer {
    var vocabulary = JSONObject()
    // The printable stand-ins of bytes: themselves, or U+0100 and up.
    var next: UInt32 = 0x100
    for byte in 0..<256 as Range<UInt32> {
      let printable =
        (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
      let scalar = Unicode.Scalar(printable ? byte : next) ?? " "
      if !printable { next += 1 }
      vocabulary[String(Character(scalar))] = JSON(Int(byte))
    }
    let added = special.enumerated().map { index, content -> JSON in
      ["id": JSON(256 + index), "content": JSON(content), "special": true, "normalized": false]
    }
    var document: JSONObject = [
      "added_tokens": .array(added),
      "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false],
      "decoder": ["type": "ByteLevel"],
      "model": ["type": "BPE", "vocab": .object(vocabulary), "merges": []],
    ]
    if let bos, let index = special.firstIndex(of: bos) {
      document["post_processor"] = [
        "type": "TemplateProcessing",
        "single": [["SpecialToken": ["id": JSON(bos)]], ["Sequence": ["id": "A"]]],
        "special_tokens": .object([
          bos: ["id": JSON(bos), "ids": [JSON(256 + index)], "tokens": [JSON(bos)]]
        ]),
      ]
    }
    return try Tokenizer(json: .object(document))
  }

  static func message(_ role: String, _ content: String) -> Message {
    Message(role: role, content: content)
  }
}
