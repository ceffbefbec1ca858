import Formats

extension TrainedTokenizer {
  /// The four tokenizer files of a Hugging Face folder, by file name.
  ///
  /// - Parameter contextLength: the longest sequence the model was trained for, in tokens.
  public func files(contextLength: Int) -> [(name: String, contents: String)] {
    [
      ("tokenizer.json", tokenizerJSON),
      ("tokenizer_config.json", configJSON(contextLength: contextLength)),
      ("special_tokens_map.json", specialTokensMapJSON),
      ("generation_config.json", generationConfigJSON),
    ]
  }

  /// `tokenizer.json` with LLaMA-3's split pattern and template, merges spelled `"left right"`.
  public var tokenizerJSON: String {
    let added = Self.specialTokens.enumerated().map { index, token in
      """
          {
            "id": \(tokens.count + index),
            "content": \(Self.quoted(token)),
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true
          }
      """
    }
    let vocabulary = tokens.enumerated().map { id, bytes in
      "      \(Self.quoted(ByteAlphabet.encode(bytes))): \(id)"
    }
    let pairs = merges.map { merge in
      let left = ByteAlphabet.encode(merge.left)
      return "      " + Self.quoted("\(left) \(ByteAlphabet.encode(merge.right))")
    }
    return """
      {
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [
      \(added.joined(separator: ",\n"))
        ],
        "normalizer": null,
        "pre_tokenizer": {
          "type": "Sequence",
          "pretokenizers": [
            {
              "type": "Split",
              "pattern": {
                "Regex": \(Self.quoted(Self.splitPattern))
              },
              "behavior": "Isolated",
              "invert": false
            },
            \(Self.byteLevel)
          ]
        },
        "post_processor": {
          "type": "TemplateProcessing",
          "single": [
            {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}}
          ],
          "pair": [
            {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}}
          ],
          "special_tokens": {
            "<|begin_of_text|>": {
              "id": "<|begin_of_text|>",
              "ids": [\(tokens.count)],
              "tokens": ["<|begin_of_text|>"]
            }
          }
        },
        "decoder": \(Self.byteLevel),
        "model": {
          "type": "BPE",
          "dropout": null,
          "unk_token": null,
          "continuing_subword_prefix": null,
          "end_of_word_suffix": null,
          "fuse_unk": false,
          "byte_fallback": false,
          "ignore_merges": false,
          "vocab": {
      \(vocabulary.joined(separator: ",\n"))
          },
          "merges": [
      \(pairs.joined(separator: ",\n"))
          ]
        }
      }

      """
  }

  /// `tokenizer_config.json` with the LLaMA-3 chat template.
  public func configJSON(contextLength: Int) -> String {
    """
    {
      "tokenizer_class": "PreTrainedTokenizerFast",
      "bos_token": "<|begin_of_text|>",
      "eos_token": "<|eot_id|>",
      "pad_token": "<|end_of_text|>",
      "clean_up_tokenization_spaces": false,
      "model_input_names": ["input_ids", "attention_mask"],
      "model_max_length": \(contextLength),
      "chat_template": \(Self.quoted(Self.chatTemplate))
    }

    """
  }

  /// `special_tokens_map.json`.
  public var specialTokensMapJSON: String {
    """
    {
      "bos_token": "<|begin_of_text|>",
      "eos_token": "<|eot_id|>",
      "pad_token": "<|end_of_text|>"
    }

    """
  }

  /// `generation_config.json`: greedy by default, a reply ends at <|eot_id|> or <|end_of_text|>.
  public var generationConfigJSON: String {
    """
    {
      "bos_token_id": \(tokens.count),
      "do_sample": false,
      "eos_token_id": [
        \(tokens.count + 4),
        \(tokens.count + 1)
      ],
      "pad_token_id": \(tokens.count + 1)
    }

    """
  }

  /// The pre-tokenizer's pattern as LLaMA-3 publishes it.
  static let splitPattern =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"#
    + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  private static let byteLevel =
    #"{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}"#

  private static let chatTemplate =
    "{{- bos_token }}{% for message in messages %}"
    + "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    + "{{- message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    + "{% if add_generation_prompt %}"
    + "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"

  /// A JSON string literal.
  private static func quoted(_ text: String) -> String { JSON(text).serialized() }
}
