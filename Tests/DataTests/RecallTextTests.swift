import Data
import Testing

/// Facts that have to be found again.
@Suite struct RecallTextTests {
  private func words(_ text: String) -> Int { text.split(separator: " ").count }

  @Test(arguments: RecallTask.allCases, [256, 1000])
  func answersStandInTheText(task: RecallTask, length: Int) throws {
    let text = RecallText(seed: 5)
    for index in 0..<20 {
      let messages = text.messages(task, index, length: length, count: words)
      #expect(messages == text.messages(task, index, length: length, count: words))
      #expect(messages.count == (task == .needle ? 2 : 8))
      let first = messages[0].content
      let total = messages.reduce(0) { $0 + words($1.content) }
      #expect(total <= length && total > length - 120)
      for turn in stride(from: 0, to: messages.count, by: 2) {
        let question = messages[turn].content
        let key = try #require(
          question.split(separator: " ").last.map { String($0.dropLast()) })
        let fact = "The number of \(key) is \(messages[turn + 1].content)."
        #expect(first.contains(fact))
        #expect(first.components(of: "The number of \(key) is") == 1)
      }
    }
  }

  @Test func needlesLieWhereTheyShall() throws {
    let text = RecallText(seed: 1)
    for depth in [0.0, 0.5, 1.0] {
      let first = text.messages(.needle, 3, length: 800, depth: depth, count: words)[0].content
      let body = try #require(first.split(separator: "\n").first)
      let sentences = body.split(separator: ".")
      let place = try #require(sentences.firstIndex { $0.contains("The number of") })
      #expect(abs(Double(place) - depth * Double(sentences.count - 1)) <= 1)
    }
  }

  @Test func heldOutTextIsOther() {
    let text = RecallText(seed: 1)
    let training = Set(
      (0..<50).map { text.messages(.recall, $0, length: 300, count: words)[0].content })
    for index in 0..<50 {
      let own = text.messages(.recall, index, length: 300, split: .heldOut, count: words)
      #expect(!training.contains(own[0].content))
    }
  }
}

extension String {
  fileprivate func components(of part: String) -> Int {
    var (count, rest) = (0, self[...])
    while let first = part.first, let start = rest.firstIndex(of: first) {
      rest = rest[start...]
      if rest.hasPrefix(part) { count += 1 }
      rest = rest.dropFirst()
    }
    return count
  }
}
