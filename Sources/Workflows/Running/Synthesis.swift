import Data
import Formats

/// Writes generated chats as JSONL files, `<domain>.train.jsonl` and `<domain>.val.jsonl`.
struct Synthesis {
  let settings: SynthesizeSettings
  let seed: UInt64

  /// Writes all files into the folder `path`, which appears complete or not at all.
  /// - Parameter tokenizer: By which records of recall tasks are as long as they shall be; without one
  ///   a token is taken to be four bytes.
  func write(to path: String, counting tokenizer: Tokenizer? = nil) throws {
    let output = try OutputFolder(path)
    try writeRecall(to: output, tokenizer)
    for domain in settings.records > 0 ? SyntheticDomain.allCases : [] {
      for (split, count, suffix) in [
        (SyntheticSplit.training, settings.records, "train"), (.heldOut, settings.heldOut, "val"),
      ] {
        let text = SyntheticText(seed: seed)
        var lines = ""
        for index in 0..<count {
          lines += line(text.record(domain, index, split: split).messages) + "\n"
        }
        try Files.write(lines, to: output.path(of: "\(domain.rawValue).\(suffix).jsonl"))
      }
    }
    try output.commit()
  }

  /// `needle.train.jsonl` and so on, as far as asked for.
  private func writeRecall(to output: OutputFolder, _ tokenizer: Tokenizer?) throws {
    var counter = tokenizer.map { TokenCounter($0) }
    let text = RecallText(seed: seed)
    for (task, own) in settings.recall {
      for (split, count, suffix) in [
        (SyntheticSplit.training, own.records, "train"), (.heldOut, settings.heldOut, "val"),
      ] {
        var lines = ""
        for index in 0..<count {
          let messages = text.messages(task, index, length: own.length, split: split) {
            counter?.count($0) ?? ($0.utf8.count + 3) / 4
          }
          lines += line(messages) + "\n"
        }
        try Files.write(lines, to: output.path(of: "\(task.rawValue).\(suffix).jsonl"))
      }
    }
  }

  /// A tokenizer learned from the training text.
  func tokenizer(sample: Int = 4000) -> TrainedTokenizer {
    let text = SyntheticText(seed: seed)
    var trainer = BytePairTrainer()
    for domain in SyntheticDomain.allCases {
      for index in 0..<min(sample, settings.records) {
        for message in text.record(domain, index).messages {
          trainer.add(text: message.content, split: Tokenizer.llama3Pieces)
        }
      }
    }
    let limit = TrainedTokenizer.mergeLimit(vocabularySize: settings.vocabulary)
    return TrainedTokenizer(merges: trainer.merges(limit: limit))
  }

  private func line(_ messages: [Message]) -> String {
    let messages = messages.map { message -> JSON in
      ["role": JSON(message.role), "content": JSON(message.content)]
    }
    return JSON.object(["messages": .array(messages)]).serialized()
  }
}
