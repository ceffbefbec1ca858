import Testing

@testable import Data

@Suite("Synthetic text")
struct SyntheticTests {
  static let text = SyntheticText(seed: 7)

  /// Records of every domain and split, enough to meet every task.
  static let records: [SyntheticRecord] = SyntheticDomain.allCases.flatMap { domain in
    SyntheticSplit.allCases.flatMap { split in
      (0..<300).map { text.record(domain, $0, split: split) }
    }
  }

  @Test("a record depends only on seed, domain, index and split")
  func deterministic() {
    let again = SyntheticText(seed: 7)
    for domain in SyntheticDomain.allCases {
      let forward = (0..<40).map { Self.text.record(domain, $0) }
      let backward = (0..<40).reversed().map { again.record(domain, $0) }
      #expect(forward == backward.reversed())
      #expect(forward != (0..<40).map { SyntheticText(seed: 8).record(domain, $0) })
    }
  }

  @Test("known text stays as it is, so checkpoints stay comparable")
  func golden() {
    var random = SyntheticRandom(1, 2, 3)
    #expect(random.next() == 2_940_678_738_467_981_863)
    #expect(
      Self.text.record(.math, 0).messages == [
        .user("751 - 98 = ?"), .assistant("11-8=3, 15-9-1=5, 7-0-1=6. Answer: 653"),
      ])
  }

  @Test("every task occurs, in both splits")
  func everyTask() {
    for domain in SyntheticDomain.allCases {
      for split in SyntheticSplit.allCases {
        let seen = Set(
          Self.records.filter { $0.domain == domain && $0.split == split }.map(\.task))
        #expect(seen == Set(SyntheticText.tasks(of: domain)))
      }
    }
  }

  @Test("no held-out prompt is a training prompt, whatever the seeds")
  func disjoint() {
    for domain in SyntheticDomain.allCases {
      let heldOut = Set((0..<200).map { key(Self.text.record(domain, $0, split: .heldOut)) })
      let other = SyntheticText(seed: 99)
      let training = Set((0..<3000).map { key(other.record(domain, $0)) })
      #expect(heldOut.isDisjoint(with: training))
      #expect(heldOut.count > 150, "prompts repeat too often to measure anything")
    }
  }

  @Test("turns alternate, end with the assistant, and are printable ASCII")
  func shape() {
    for record in Self.records {
      for (index, message) in record.messages.enumerated() {
        #expect(message.role == (index % 2 == 0 ? "user" : "assistant"))
        #expect(message.content.utf8.allSatisfy { $0 == 0x0A || (0x20...0x7E).contains($0) })
        #expect(!message.content.isEmpty && message.content.utf8.count < 300)
      }
      #expect(record.messages.count % 2 == 0)
    }
  }

  @Test("exact match allows outer white space only")
  func exactMatch() {
    let record = Self.text.record(.code, 3)
    #expect(record.isCorrect(reply: record.answer))
    #expect(record.isCorrect(reply: " \(record.answer)\n"))
    #expect(!record.isCorrect(reply: record.answer + "."))
    #expect(!record.isCorrect(reply: ""))
  }

  @Test("answers agree with an independent evaluation of the prompt")
  func answers() throws {
    var checked: [String: Int] = [:]
    for record in Self.records {
      guard let expected = try SyntheticOracle.result(of: record) else { continue }
      #expect(("\n" + record.answer).hasSuffix(expected), "\(record.task): \(record.messages)")
      checked[record.task, default: 0] += 1
    }
    // Every task but the ones that only restate a description as code.
    let all = SyntheticDomain.allCases.flatMap { SyntheticText.tasks(of: $0) }
    let restated: Set = ["write-arithmetic", "write-list", "write-test"]
    #expect(Set(checked.keys) == Set(all).subtracting(restated))
  }

  @Test("every step of written-out arithmetic is true")
  func workedSteps() throws {
    var steps = 0
    for record in Self.records where record.domain == .math {
      for step in record.answer.split(whereSeparator: { ", .:".contains($0) })
      where step.contains("=") {
        let sides = step.split(separator: "=")
        #expect(try SyntheticOracle.value(String(sides[0])) == Int(sides[1]), "\(record.answer)")
        steps += 1
      }
    }
    #expect(steps > 300)
  }

  @Test("column arithmetic spells carries and borrows")
  func columns() {
    #expect(ColumnArithmetic.addition(347, 85) == "7+5=12, 4+8+1=13, 3+0+1=4")
    #expect(ColumnArithmetic.addition(9, 9) == "9+9=18")
    #expect(ColumnArithmetic.subtraction(512, 87) == "12-7=5, 11-8-1=2, 5-0-1=4")
    #expect(ColumnArithmetic.subtraction(100, 1) == "10-1=9, 10-0-1=9, 1-0-1=0")
    #expect(
      ColumnArithmetic.multiplication(346, by: 4)
        == "6*4=24, 4*4=16, 16+2=18, 3*4=12, 12+1=13")
  }

  private func key(_ record: SyntheticRecord) -> String {
    record.prompt.map { "\($0.role)\u{1}\($0.content)" }.joined(separator: "\u{2}")
  }
}
