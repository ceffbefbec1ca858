import Data
import Formats

/// Writes generated chats as JSONL files, `<domain>.train.jsonl` and `<domain>.val.jsonl`.
struct Synthesis {
  let settings: SynthesizeSettings
  let seed: UInt64

  /// Writes all files into the folder `path`, which appears complete or not at all.
  func write(to path: String) throws {
    let output = try OutputFolder(path)
    for domain in SyntheticDomain.allCases {
      for (split, count, suffix) in [
        (SyntheticSplit.training, settings.records, "train"), (.heldOut, settings.heldOut, "val"),
      ] {
        let text = SyntheticText(seed: seed)
        var lines = ""
        for index in 0..<count {
          lines += line(text.record(domain, index, split: split)) + "\n"
        }
        try Files.write(lines, to: output.path(of: "\(domain.rawValue).\(suffix).jsonl"))
      }
    }
    try output.commit()
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

  private func line(_ record: SyntheticRecord) -> String {
    let messages = record.messages.map { message -> JSON in
      ["role": JSON(message.role), "content": JSON(message.content)]
    }
    return JSON.object(["messages": .array(messages)]).serialized()
  }
}
