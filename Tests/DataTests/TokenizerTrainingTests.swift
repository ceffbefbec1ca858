import Testing

@testable import Data

@Suite("Tokenizer training")
struct TokenizerTrainingTests {
  private func merges(_ pieces: [String], limit: Int = 100, minimum: Int = 2) -> [String] {
    var trainer = BytePairTrainer(minimumCount: minimum)
    for piece in pieces { trainer.add(piece: piece.utf8) }
    return trainer.merges(limit: limit).map {
      String(decoding: $0.left, as: UTF8.self) + "|" + String(decoding: $0.right, as: UTF8.self)
    }
  }

  @Test("the most frequent pair is merged first, then pairs with the new token")
  func order() {
    #expect(
      merges(["low", "low", "lower", "newer", "newer"]) == [
        "e|r", "l|o", "lo|w", "e|w", "ew|er", "n|ewer",
      ])
  }

  @Test("ties go to the lexicographically first pair, whatever the order of the text")
  func ties() {
    #expect(merges(["zz", "ab", "zz", "ab", "ac", "ac"]) == ["a|b", "a|c", "z|z"])
    #expect(merges(["ac", "ab", "ac", "zz", "zz", "ab"]) == ["a|b", "a|c", "z|z"])
  }

  @Test("overlapping repeats are merged from the left")
  func repeats() {
    #expect(merges(["aaaaa", "aaaaa"]) == ["a|a", "aa|a", "aa|aaa"])
  }

  @Test("digits stay apart, rare pairs and single bytes give nothing")
  func exclusions() {
    #expect(merges(["123", "123", "x1", "x1"]).isEmpty)
    #expect(merges(["ab", "q"]).isEmpty)
    #expect(merges(["ab"], minimum: 1) == ["a|b"])
    #expect(merges(["ab", "ab", "cd", "cd"], limit: 1) == ["a|b"])
  }

  @Test("incremental counts agree with counting afresh at every step")
  func against() {
    var random = SyntheticRandom(5)
    for _ in 0..<20 {
      let pieces = (0..<30).map { _ in
        String((0..<random.int(1...8)).map { _ in random.pick(["a", "b", "c"] as [Character]) })
      }
      #expect(merges(pieces, limit: 12) == slowMerges(pieces, limit: 12))
    }
  }

  /// Recounts every pair for every merge.
  private func slowMerges(_ pieces: [String], limit: Int) -> [String] {
    var split = pieces.map { $0.map { String($0) } }
    var result: [String] = []
    while result.count < limit {
      var counts: [String: Int] = [:]
      for piece in split {
        for (left, right) in zip(piece, piece.dropFirst()) {
          counts["\(left)|\(right)", default: 0] += 1
        }
      }
      let order = counts.filter { $0.value >= 2 }.sorted {
        if $0.value != $1.value { return $0.value > $1.value }
        return $0.key.split(separator: "|").lexicographicallyPrecedes(
          $1.key.split(separator: "|"))
      }
      guard let best = order.first?.key else { break }
      result.append(best)
      let sides = best.split(separator: "|").map(String.init)
      for index in split.indices {
        var merged: [String] = []
        var rest = split[index][...]
        while let first = rest.popFirst() {
          if first == sides[0], rest.first == sides[1] {
            rest.removeFirst()
            merged.append(sides[0] + sides[1])
          } else {
            merged.append(first)
          }
        }
        split[index] = merged
      }
    }
    return result
  }

  @Test("ids: bytes in alphabet order, merged tokens, then the five special tokens")
  func ids() {
    let tokenizer = TrainedTokenizer(merges: [
      BytePairMerge(left: [0x61], right: [0x62]), BytePairMerge(left: [0x20], right: [0x61]),
    ])
    #expect(tokenizer.vocabularySize == 256 + 2 + 5)
    #expect(tokenizer.tokens[0] == [0x21] && tokenizer.tokens[188] == [0])
    #expect(tokenizer.tokens[257] == [0x20, 0x61])
    #expect(tokenizer.id(ofSpecial: "<|begin_of_text|>") == 258)
    #expect(tokenizer.id(ofSpecial: "<|eot_id|>") == 262)
    #expect(TrainedTokenizer.mergeLimit(vocabularySize: 1024) == 763)
  }

  @Test("the same bytes built by two merges are one token")
  func duplicateTokens() {
    let (a, b, c): ([UInt8], [UInt8], [UInt8]) = ([0x61], [0x62], [0x63])
    let tokenizer = TrainedTokenizer(merges: [
      BytePairMerge(left: a, right: b), BytePairMerge(left: b, right: c),
      BytePairMerge(left: a + b, right: c), BytePairMerge(left: a, right: b + c),
    ])
    #expect(tokenizer.tokens.count == 256 + 3)
    #expect(Set(tokenizer.tokens).count == tokenizer.tokens.count)
  }

  @Test("the files spell bytes in the byte-level alphabet and quote them")
  func files() {
    let tokenizer = TrainedTokenizer(merges: [
      BytePairMerge(left: [0x20], right: [0x22]), BytePairMerge(left: [0x0A], right: [0x5C]),
    ])
    let json = tokenizer.tokenizerJSON
    #expect(json.contains(#""Ġ\"": 256"#))
    #expect(json.contains(#""Ċ \\""#))
    #expect(json.contains(#""ignore_merges": false"#))
    #expect(tokenizer.generationConfigJSON.contains("\"eos_token_id\": [\n    262,\n    259"))
    #expect(tokenizer.configJSON(contextLength: 512).contains("\"model_max_length\": 512"))
    #expect(tokenizer.configJSON(contextLength: 512).contains(#"<|end_header_id|>\n\n"#))
    #expect(
      tokenizer.files(contextLength: 512).map(\.name) == [
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "generation_config.json",
      ])
  }
}
