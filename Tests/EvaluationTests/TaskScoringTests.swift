import Data
import Formats
import Glibc
import Models
import Numerics
import TestSupport
import Testing

@testable import Evaluation

/// Scores of tasks against figures worked out by hand on a model whose predictions are known.
@Suite struct TaskScoringTests {
  private let context: Context
  private let tokenizer: Tokenizer

  init() throws {
    context = try Context(device: .cpu(threads: 2))
    let vocabulary = TrainedTokenizer(merges: [])
    tokenizer = try Tokenizer(json: JSON.parse(Array(vocabulary.tokenizerJSON.utf8)))
  }

  /// Bytes and special tokens with seeded scores.
  private func bigram(seed: UInt64 = 5) -> BigramModel {
    var random = SeededGenerator(seed: seed)
    let size = tokenizer.vocabularySize
    return BigramModel(
      scores: (0..<size).map { _ in
        (0..<size).map { _ in Double.random(in: -2...2, using: &random) }
      })
  }

  private func evaluator(_ bigram: BigramModel, positions: Int = 64, tokensPerPass: Int = 100)
    throws -> Evaluator
  {
    try Evaluator(
      bigram.model(positions: positions, in: context),
      settings: .init(tokensPerPass: tokensPerPass), in: context)
  }

  /// `Σ ln p` of the bytes of `text`, behind the token `before`.
  private func likelihood(_ bigram: BigramModel, _ text: String, behind before: Int32) -> Double {
    let ids = tokenizer.encode(text, addSpecialTokens: false)
    return zip([before] + ids, ids).reduce(0) {
      $0 + bigram.logProbabilities[Int($1.0)][Int($1.1)]
    }
  }

  private func last(_ text: String) throws -> Int32 {
    try #require(tokenizer.encode(text, addSpecialTokens: false).last)
  }

  @Test func choicesAreDividedByTheirCharactersAndBytes() throws {
    let bigram = bigram()
    let choices = ["a", "bcd", "\u{E9}\u{E9}", "xyz uvw"]
    let samples: [TaskSample] = (0..<4).map {
      .choices(query: "Why?\n", choices: choices, gold: $0)
    }
    let task = TaskFile(name: "toy", form: .multipleChoice, samples: samples)
    let result = try evaluator(bigram).evaluate(task, tokenizer: tokenizer)
    // The newline at the query's end is scored with each choice, after the question mark.
    let before = try last("?")
    let sums = choices.map { likelihood(bigram, "\n \($0)", behind: before) }
    for (name, lengths) in [
      ("acc", [1.0, 1, 1, 1]), ("acc_norm", [1, 3, 2, 7]), ("acc_bytes", [1, 3, 4, 7]),
    ] {
      let values = zip(sums, lengths).map { $0 / $1 }
      let best = try #require(values.firstIndex(of: values.max() ?? 0))
      // Each of four samples has another gold, so exactly one is right.
      #expect(result[name] == 0.25)
      #expect(result.records.map { $0[name]?.int } == (0..<4).map { $0 == best ? 1 : 0 })
    }
    // √(Σ(x − 0.25)² / 3) / √4
    let error = try #require(result.metrics.first?.standardError)
    #expect(abs(error - 0.25) < 1e-12)
    for (index, response) in (result.records[0]["resps"]?.array ?? []).enumerated() {
      #expect(abs((response.array?[0].double ?? 0) - sums[index]) < 1e-4)
    }
    #expect(result.json["acc_stderr"]?.double == error)
    #expect(result.lines.split(separator: "\n").count == 4)
  }

  @Test func aContinuationIsRatedBehindEachContext() throws {
    let bigram = bigram()
    let task = TaskFile(
      name: "toy", form: .contextChoice,
      samples: [.contexts(options: ["ab", "cd"], continuation: "end", gold: 1)])
    let result = try evaluator(bigram).evaluate(task, tokenizer: tokenizer)
    let sums = try ["b", "d"].map { likelihood(bigram, " end", behind: try last($0)) }
    #expect(result.metrics.map(\.name) == ["acc"])
    #expect(result["acc"] == (sums[1] > sums[0] ? 1 : 0))
    #expect(result.metrics[0].standardError == nil)
  }

  @Test func clozesGivePerplexityAndGreedyHits() throws {
    let bigram = bigram()
    let task = TaskFile(
      name: "toy", form: .cloze,
      samples: [
        .cloze(context: "one", continuation: "x"), .cloze(context: "two ", continuation: "y"),
        .cloze(context: "", continuation: "z"),
      ])
    let result = try evaluator(bigram).evaluate(task, tokenizer: tokenizer)
    let beginning = try #require(tokenizer.prefixTokens.first)
    let sums = [
      likelihood(bigram, " x", behind: try last("e")),
      likelihood(bigram, "  y", behind: try last("o")),
      likelihood(bigram, " z", behind: beginning),
    ]
    let mean = sums.reduce(0, +) / 3
    #expect(abs((result["perplexity"] ?? 0) / exp(-mean) - 1) < 1e-5)
    let deviation = (sums.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 2 / 3).squareRoot()
    #expect(
      abs((result.metrics[0].standardError ?? 0) / (deviation * exp(-mean)) - 1) < 1e-4)
    #expect(result["acc"] == 0)
  }

  @Test func recalledAnswersCountByLengthAndDepth() throws {
    func id(_ text: String) throws -> Int { Int(try last(text)) }
    let bigram = BigramModel(
      vocabulary: tokenizer.vocabularySize,
      next: [try id("\n"): try id("7"), try id("7"): try id("1")])
    func chat(_ answers: [String], _ length: Int, _ depth: Double?) -> TaskSample {
      .recall(
        messages: answers.flatMap {
          [Message(role: "user", content: "q"), Message(role: "assistant", content: $0)]
        }, length: length, depth: depth)
    }
    let task = TaskFile(
      name: "toy", form: .recall,
      samples: [
        chat(["71", "7"], 64, 0), chat(["72"], 64, 1), chat(["8"], 128, 0), chat(["717"], 128, 1),
      ])
    let renderer = try ChatRenderer(format: .llama3, tokenizer: tokenizer)
    for tokensPerPass in [1, 100, 1000] {
      let result = try evaluator(bigram, positions: 128, tokensPerPass: tokensPerPass)
        .evaluate(task, tokenizer: tokenizer, renderer: renderer)
      // Of "717" the last token does not follow.
      #expect(result.records.map { $0["acc"]?.double } == [1, 0, 0, 0])
      #expect(result["acc"] == 2.0 / 5)
      #expect(result["acc,64 tokens"] == 2.0 / 3 && result["acc,128 tokens"] == 0)
      #expect(result["acc,64 tokens at 0 %"] == 1 && result["acc,64 tokens at 100 %"] == 0)
      #expect(result.records[0]["target"]?.array?.map { $0.string } == ["71", "7"])
    }
    #expect(throws: EvaluationError.self) {
      try evaluator(bigram, positions: 16).evaluate(
        task, tokenizer: tokenizer, renderer: renderer)
    }
    #expect(throws: EvaluationError.self) {
      try evaluator(bigram, positions: 128).evaluate(task, tokenizer: tokenizer)
    }
  }

  @Test func greedyContinuationsCount() throws {
    func id(_ text: String) throws -> Int { Int(try last(text)) }
    let bigram = BigramModel(
      vocabulary: tokenizer.vocabularySize,
      next: [try id("q"): try id(" "), try id(" "): try id("o"), try id("o"): try id("k")])
    let task = TaskFile(
      name: "toy", form: .cloze,
      samples: [
        .cloze(context: "q", continuation: "ok"), .cloze(context: "q", continuation: "oo"),
      ])
    let result = try evaluator(bigram).evaluate(task, tokenizer: tokenizer)
    #expect(result.records.map { $0["acc"]?.int } == [1, 0])
    #expect(result["acc"] == 0.5)
  }

  @Test func textsGivePerplexityPerWordAndByte() throws {
    let uniform = BigramModel(vocabulary: tokenizer.vocabularySize, next: [:])
    let task = TaskFile(
      name: "toy", form: .text, samples: [.text("two words"), .text("h\u{E9}")])
    let result = try evaluator(uniform, positions: 4).evaluate(task, tokenizer: tokenizer)
    let cost = 12 * log(Double(tokenizer.vocabularySize))
    #expect(abs((result["word_perplexity"] ?? 0) / exp(cost / 3) - 1) < 1e-4)
    #expect(abs((result["byte_perplexity"] ?? 0) / exp(cost / 12) - 1) < 1e-5)
    #expect(abs((result["bits_per_byte"] ?? 0) - cost / 12 / log(2)) < 1e-5)
    #expect(result.json["word_perplexity_stderr"] == .some(.null))
  }

  @Test func solutionsAreWrittenAndRead() throws {
    func id(_ text: String) throws -> Int { Int(try last(text)) }
    let end = Int(try #require(tokenizer.id(of: "<|eot_id|>")))
    // Behind the colon: " 42", then the end.
    let bigram = BigramModel(
      vocabulary: tokenizer.vocabularySize,
      next: [
        try id(":"): try id(" "), try id(" "): try id("4"), try id("4"): try id("2"),
        try id("2"): end,
      ])
    let task = TaskFile(
      name: "toy", form: .generation,
      samples: [
        .question(context: "How many?", answer: "42"),
        .question(context: "Question: 1\nAnswer: 2\n\nQuestion: 2\nAnswer:", answer: "$7"),
      ])
    let result = try evaluator(bigram, positions: 128).evaluate(
      task, tokenizer: tokenizer, stops: [Int32(end)])
    #expect(result["exact_match,strict-match"] == 0)
    #expect(result["exact_match,flexible-extract"] == 0.5)
    let record = result.records[0]
    #expect(record["arguments"]?.array?[0].array?[0].string == "Question: How many?\nAnswer:")
    #expect(record["resps"]?.array?[0].array?[0].string == " 42")
    #expect(record["filtered_resps"]?["strict-match"]?.string == "[invalid]")
    #expect(result.json["exact_match_stderr,flexible-extract"]?.double != nil)
  }

  @Test func contextsTooLongLoseTheirBeginning() throws {
    let bigram = bigram()
    let long = String(repeating: "lorem ipsum ", count: 30) + "q"
    let task = TaskFile(
      name: "toy", form: .cloze, samples: [.cloze(context: long, continuation: "abc")])
    let result = try evaluator(bigram, positions: 8).evaluate(task, tokenizer: tokenizer)
    let expected = exp(-likelihood(bigram, " abc", behind: try last("q")))
    #expect(abs((result["perplexity"] ?? 0) / expected - 1) < 1e-4)
    let tooLong = TaskFile(
      name: "toy", form: .cloze, samples: [.cloze(context: "q", continuation: long)])
    let error = #expect(throws: EvaluationError.self) {
      try evaluator(bigram, positions: 8).evaluate(tooLong, tokenizer: tokenizer)
    }
    #expect(error?.description.hasPrefix("toy, sample 0: the continuation has 362 tokens") == true)
  }

  /// However samples are packed, and whether choices share what they read, a score stays the same
  /// up to the rounding of 32-bit sums.
  @Test(arguments: [false, true])
  func packingDoesNotChangeScores(_ isMixture: Bool) throws {
    let model = try RandomModel.make(mixture: isMixture, in: context)
    var random = SeededGenerator(seed: 11)
    let requests = (0..<40).flatMap { _ -> [ScoringRequest] in
      let head = (0..<Int.random(in: 1...30, using: &random)).map { _ in
        Int32.random(in: 0..<Int32(RandomModel.vocabulary), using: &random)
      }
      // Endings of one token are read once for all; others are not.
      return [[1], [2], [3, 4], [3, 5], [6, 7, 8]].map {
        ScoringRequest(head + $0, scored: $0.count, positions: 64)
      }
    }
    func scores(_ tokensPerPass: Int) throws -> [ContinuationScore] {
      try Evaluator(model, settings: .init(tokensPerPass: tokensPerPass), in: context)
        .scores(of: requests, name: "toy") { _ in }
    }
    let alone = try requests.map { request in
      try #require(
        try Evaluator(model, in: context).scores(of: [request], name: "toy") { _ in }.first)
    }
    for packed in [try scores(1), try scores(64), try scores(4096)] {
      #expect(packed.count == alone.count)
      for (one, other) in zip(alone, packed) {
        #expect(abs(one.logLikelihood - other.logLikelihood) < 1e-4)
        #expect(one.isGreedy == other.isGreedy)
      }
    }
  }

  @Test func aBeginningSpelledOutIsNotDoubled() throws {
    let encoder = ContinuationEncoder(tokenizer: tokenizer, positions: 64)
    let beginning = try #require(tokenizer.prefixTokens.first)
    let text = try #require(tokenizer.token(of: beginning))
    #expect(encoder.encode("ab") == [beginning] + tokenizer.encode("ab", addSpecialTokens: false))
    #expect(encoder.encode(text + "ab") == encoder.encode("ab"))
    let request = try encoder.request(context: "a \u{A0}\n", continuation: " b", place: "toy")
    #expect(request.inputs.count == 6 + 1 && request.targets.count == 6)
  }
}
