/// Reads what surrounds the model in `tokenizer.json`: normalizer, pre-tokenizer, post-processor
/// and decoder.
struct PipelineLoader {
  let document: JSON

  /// The members of a `Sequence`, or the one component itself; sequences do not nest in practice.
  private func components(
    _ field: String, _ member: String
  ) throws(TokenizerError) -> [(type: String, value: JSON)] {
    guard let root = document[field], !root.isNull else { return [] }
    let type = try self.type(of: root, field)
    guard type == "Sequence" else { return [(type, root)] }
    guard let list = root[member]?.array else {
      throw .malformed(field: "\(field).\(member)", problem: "not an array")
    }
    var members: [(type: String, value: JSON)] = []
    for value in list { members.append((try self.type(of: value, field), value)) }
    return members
  }

  private func type(of value: JSON, _ field: String) throws(TokenizerError) -> String {
    guard let type = value["type"]?.string else {
      throw .malformed(field: field, problem: "a component without a type")
    }
    return type
  }

  private func text(
    _ value: JSON, _ name: String, _ field: String
  ) throws(TokenizerError) -> String {
    guard let text = value[name]?.string else {
      throw .malformed(field: "\(field).\(name)", problem: "not a string")
    }
    return text
  }

  /// The `String` pattern of a Replace.
  private func pattern(_ value: JSON, _ field: String) throws(TokenizerError) -> [UInt8] {
    guard let text = value["pattern"]?["String"]?.string, !text.isEmpty else {
      throw .unsupported(
        field: "\(field) Replace", value: value["pattern"]?.serialized() ?? "no pattern",
        supported: "a String pattern that is not empty")
    }
    return Array(text.utf8)
  }

  func normalization() throws(TokenizerError) -> [NormalizationStep] {
    var steps: [NormalizationStep] = []
    for (type, value) in try components("normalizer", "normalizers") {
      switch type {
      case "NFC": steps.append(.canonicalComposition)
      case "Prepend": steps.append(.prepend(Array(try text(value, "prepend", "normalizer").utf8)))
      case "Replace":
        let content = Array(try text(value, "content", "normalizer").utf8)
        steps.append(.replace(try pattern(value, "normalizer"), with: content))
      default:
        throw .unsupported(field: "normalizer", value: type, supported: "NFC, Prepend, Replace")
      }
    }
    return steps
  }

  func preTokenizer() throws(TokenizerError) -> PreTokenizer {
    let parts = try components("pre_tokenizer", "pretokenizers")
    switch parts.map(\.type) {
    case []: return .none
    case ["ByteLevel"]:
      let (regex, space) = byteLevelFlags(parts[0].value)
      return .byteLevel(regex ? .gpt2 : nil, addsPrefixSpace: space)
    case ["Split", "ByteLevel"]:
      let (regex, space) = byteLevelFlags(parts[1].value)
      guard !regex, !space else {
        throw .unsupported(
          field: "pre_tokenizer", value: "ByteLevel with use_regex or add_prefix_space after Split",
          supported: "both false")
      }
      return .byteLevel(try splitPattern(parts[0].value), addsPrefixSpace: false)
    case ["Metaspace"]: return .metaspace(try metaspace(parts[0].value))
    default:
      throw .unsupported(
        field: "pre_tokenizer", value: parts.map(\.type).joined(separator: ", "),
        supported: "ByteLevel, Split then ByteLevel, Metaspace, none")
    }
  }

  private func byteLevelFlags(_ value: JSON) -> (regex: Bool, prefixSpace: Bool) {
    (value["use_regex"]?.bool ?? true, value["add_prefix_space"]?.bool ?? true)
  }

  private func splitPattern(_ value: JSON) throws(TokenizerError) -> SplitPattern {
    guard let regex = value["pattern"]?["Regex"]?.string else {
      throw .unsupported(
        field: "pre_tokenizer Split", value: value["pattern"]?.serialized() ?? "no pattern",
        supported: "a Regex pattern")
    }
    // The patterns cover every text, so keeping only matches is the same as isolating them.
    let behavior = (value["behavior"]?.string ?? "", value["invert"]?.bool ?? false)
    guard behavior == ("Isolated", false) || behavior == ("Removed", true) else {
      throw .unsupported(
        field: "pre_tokenizer Split", value: "behavior \(behavior.0), invert \(behavior.1)",
        supported: "Isolated, or Removed with invert")
    }
    return try SplitPattern(regex: regex)
  }

  private func metaspace(_ value: JSON) throws(TokenizerError) -> Metaspace {
    var metaspace = Metaspace()
    if let mark = value["replacement"]?.string {
      guard mark.unicodeScalars.count == 1 else {
        throw .malformed(field: "pre_tokenizer.replacement", problem: "not one character")
      }
      metaspace.mark = Array(mark.utf8)
    }
    if let name = value["prepend_scheme"]?.string {
      guard let scheme = Metaspace.PrependScheme(rawValue: name) else {
        throw .unsupported(
          field: "pre_tokenizer.prepend_scheme", value: name, supported: "always, first, never")
      }
      metaspace.prependScheme = scheme
    } else if value["add_prefix_space"]?.bool == false {
      metaspace.prependScheme = .never
    }
    metaspace.splits = value["split"]?.bool ?? true
    return metaspace
  }

  func template(
    id: (String) -> Int32?
  ) throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
    var result: (prefix: [Int32], suffix: [Int32]) = ([], [])
    for (type, value) in try components("post_processor", "processors") {
      switch type {
      case "ByteLevel": continue
      case "TemplateProcessing": result = try template(value, id: id)
      default:
        throw .unsupported(
          field: "post_processor", value: type, supported: "ByteLevel, TemplateProcessing")
      }
    }
    return result
  }

  private func template(
    _ value: JSON, id: (String) -> Int32?
  ) throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
    let field = "post_processor.single"
    guard let single = value["single"]?.array else {
      throw .malformed(field: field, problem: "not an array")
    }
    var prefix: [Int32] = []
    var suffix: [Int32] = []
    var sequences = 0
    for item in single {
      if item["Sequence"] != nil {
        sequences += 1
        continue
      }
      guard let name = item["SpecialToken"]?["id"]?.string else {
        throw .malformed(field: field, problem: "neither a Sequence nor a SpecialToken")
      }
      let ids = try specialIDs(name, value, id: id)
      if sequences == 0 { prefix += ids } else { suffix += ids }
    }
    guard sequences == 1 else {
      throw .malformed(field: field, problem: "\(sequences) sequences where one is expected")
    }
    return (prefix, suffix)
  }

  private func specialIDs(
    _ name: String, _ value: JSON, id: (String) -> Int32?
  ) throws(TokenizerError) -> [Int32] {
    let field = "post_processor.special_tokens[\"\(name.oneLine)\"]"
    guard let entry = value["special_tokens"]?[name], let tokens = entry["tokens"]?.array,
      let ids = entry["ids"]?.array, tokens.count == ids.count
    else {
      throw .malformed(field: field, problem: "missing, or tokens and ids differ in number")
    }
    var result: [Int32] = []
    for (token, expected) in zip(tokens, ids) {
      guard let spelled = token.string, let found = id(spelled), Int(found) == expected.int else {
        throw .malformed(field: field, problem: "does not name a token with its id")
      }
      result.append(found)
    }
    return result
  }

  func decoding() throws(TokenizerError) -> DecodingPlan {
    let parts = try components("decoder", "decoders")
    let types = parts.map(\.type)
    if types.isEmpty { return .spaced }
    if types == ["ByteLevel"] { return .byteLevel }
    var plan = MarkDecoding()
    var hasText = false
    var fused = types.contains("Metaspace")
    for (type, value) in parts {
      switch type {
      case "Replace" where !hasText && !plan.decodesBytes:
        plan.pattern = try pattern(value, "decoder")
        plan.replacement = Array(try text(value, "content", "decoder").utf8)
        hasText = true
      case "ByteFallback" where !plan.decodesBytes && !fused || types.contains("Metaspace"):
        plan.decodesBytes = true
      case "Fuse": fused = true
      case "Strip" where fused && plan.stripCount == 0:
        let content = Array(try text(value, "content", "decoder").utf8)
        guard content.count == 1, let count = value["start"]?.int, (0...64).contains(count),
          value["stop"]?.int == 0
        else {
          throw .unsupported(
            field: "decoder Strip", value: value.serialized(),
            supported: "one ASCII character at the start, stop 0")
        }
        (plan.stripped, plan.stripCount) = (content[0], count)
      case "Metaspace" where !hasText:
        let metaspace = try metaspace(value)
        (plan.pattern, plan.replacement) = (metaspace.mark, [0x20])
        plan.dropsFirstMarks = metaspace.prependScheme != .never
        hasText = true
      default:
        throw .unsupported(
          field: "decoder", value: types.joined(separator: ", "),
          supported: "ByteLevel, Metaspace, or Replace, ByteFallback, Fuse, Strip in this order")
      }
    }
    return .marks(plan)
  }
}
