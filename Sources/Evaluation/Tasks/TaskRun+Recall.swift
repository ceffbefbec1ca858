import Data
import Formats

extension TaskRun {
  /// A chat as the model reads it.
  private struct Chat {
    var ids: [Int32]
    /// Places of the tokens of each answer, without the one that ends a turn.
    var answers: [Range<Int>]
    var length: Int?
    var depth: Double?
  }

  /// Whether every token of an answer ranks first behind all that was said before it; over all answers,
  /// and for each length and depth that samples name.
  func recalls(_ renderer: ChatRenderer?, _ progress: (Evaluator.Progress) -> Void)
    throws(EvaluationError) -> TaskResult
  {
    let chats = try rendered(renderer)
    var scored: [(isRight: [Bool], loss: Double)] = []
    var start = 0
    progress(.init(domain: task.name, done: 0, total: chats.count))
    while start < chats.count {
      var (batch, end) = (TokenBatch(), start)
      repeat {
        let chat = chats[end]
        batch.append(
          chat.ids.dropLast(),
          scoring: chat.answers.joined().map { (row: $0 - 1, target: chat.ids[$0]) })
        end += 1
      } while end < chats.count
        && batch.tokens.count + chats[end].ids.count <= evaluator.settings.tokensPerPass
      let rows = evaluator.scorer.rows(batch)
      guard rows.crossEntropy.allSatisfy(\.isFinite) else {
        throw EvaluationError("\(task.name): the model's logits are not finite; check its weights")
      }
      var row = 0
      for chat in chats[start..<end] {
        let first = row
        let isRight = chat.answers.map { answer in
          defer { row += answer.count }
          return rows.isFirst[row..<row + answer.count].allSatisfy { $0 }
        }
        scored.append(
          (isRight, rows.crossEntropy[first..<row].reduce(0, +) / Double(max(1, row - first))))
      }
      start = end
      progress(.init(domain: task.name, done: start, total: chats.count))
    }
    return result(metrics(chats, scored), records(chats, scored))
  }

  private func rendered(_ renderer: ChatRenderer?) throws(EvaluationError) -> [Chat] {
    guard let renderer else {
      throw EvaluationError(
        "\(task.name): samples are chats, and the folder tells no chat format; give --chat-format")
    }
    var chats: [Chat] = []
    for (index, sample) in task.samples.enumerated() {
      guard case .recall(let messages, let length, let depth) = sample else { continue }
      let rendered: RenderedChat
      do throws(ChatError) {
        rendered = try renderer.render(messages)
      } catch {
        throw EvaluationError("\(place(index)): \(error)")
      }
      guard rendered.ids.count - 1 <= encoder.positions else {
        throw EvaluationError(
          "\(place(index)): \(rendered.ids.count - 1) tokens are more than the model's \(encoder.positions) positions; use shorter lengths"
        )
      }
      chats.append(
        Chat(
          ids: rendered.ids, answers: Self.answers(rendered.lossMask), length: length,
          depth: depth))
    }
    return chats
  }

  /// The runs of a mask, without the token that ends a turn.
  private static func answers(_ mask: [UInt8]) -> [Range<Int>] {
    var answers: [Range<Int>] = []
    var start: Int?
    for (index, flag) in (mask + [0]).enumerated() {
      if flag == 1 {
        start = start ?? index
      } else if let first = start {
        answers.append(first..<max(first + 1, index - 1))
        start = nil
      }
    }
    return answers.filter { $0.lowerBound > 0 }
  }

  private func metrics(_ chats: [Chat], _ scored: [(isRight: [Bool], loss: Double)])
    -> [TaskResult.Metric]
  {
    func accuracy(_ name: String, where isWanted: (Chat) -> Bool) -> TaskResult.Metric {
      .mean(
        name,
        zip(chats, scored).filter { isWanted($0.0) }.flatMap { $0.1.isRight.map { $0 ? 1 : 0 } })
    }
    var metrics = [
      accuracy("acc") { _ in true }, .mean("answer_loss", scored.map(\.loss)),
    ]
    for length in Set(chats.compactMap(\.length)).sorted() {
      metrics.append(accuracy("acc,\(length) tokens") { $0.length == length })
      let depths = Set(chats.filter { $0.length == length }.compactMap(\.depth)).sorted()
      for depth in depths where depths.count > 1 {
        metrics.append(
          accuracy("acc,\(length) tokens at \(Int((100 * depth).rounded())) %") {
            $0.length == length && $0.depth == depth
          })
      }
    }
    return metrics
  }

  private func records(_ chats: [Chat], _ scored: [(isRight: [Bool], loss: Double)])
    -> [JSONObject]
  {
    zip(chats, scored).enumerated().map { index, pair in
      let (chat, score) = pair
      var record = record(
        index,
        target: .array(
          chat.answers.map {
            JSON(encoder.tokenizer.decode(Array(chat.ids[$0]), skipSpecial: false))
          }),
        [], score.isRight.map { JSON($0) })
      record["acc"] = JSON(
        Double(score.isRight.count { $0 }) / Double(max(1, score.isRight.count)))
      record["answer_loss"] = JSON(score.loss)
      record["length"] = chat.length.map { JSON($0) } ?? .null
      record["depth"] = chat.depth.map { JSON($0) } ?? .null
      record["tokens"] = JSON(chat.ids.count)
      return record
    }
  }
}
