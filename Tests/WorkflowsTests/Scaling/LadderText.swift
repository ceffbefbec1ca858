import Formats

@testable import Workflows

/// A ladder's pipeline as text.
enum LadderText {
  static let sizes =
    "[{name: a, hidden_size: 8, layers: 1, heads: 2, width: 24}, "
    + "{name: b, hidden_size: 16, layers: 1, heads: 2, width: 40, learning_rate: {llama: 2e-3, hgrn2: 1e-3}}, "
    + "{name: c, hidden_size: 24, layers: 2, heads: 2, width: 64}]"

  static let data =
    "[{file: \"{run}/data/conversation.train.jsonl\", weight: 3}, "
    + "{file: \"{run}/data/math.train.jsonl\"}]"

  /// - Parameters:
  ///   - scaling: The section of the ladder.
  ///   - stage: Keys of the stage besides the usual ones.
  ///   - rest: Further sections.
  static func text(_ scaling: String, stage: String = "", rest: String = "") -> String {
    """
    name: ladder
    seed: 3
    synthesize: {records: 300, held_out: 20, vocabulary: 300}
    scaling: \(scaling)
    stages:
      - {name: train, data: \(data), sequence_length: 32, batch_sequences: 2, micro_batch: 2,
         learning_rate: 4e-3, losses: {cross_entropy: 1, load_balance: 0}\(stage)}
    evaluate: {data: ["{run}/data/conversation.val.jsonl"], window: 32, windows: 4}
    \(rest)
    """
  }

  /// The pipeline, as of a file in the folder `path`.
  static func pipeline(_ scaling: String, path: String = ".", stage: String = "", rest: String = "")
    throws -> Pipeline
  {
    let file = "\(path)/ladder.yaml"
    let document = try YAML.parse(text(scaling, stage: stage, rest: rest), path: file)
    return try Pipeline(path: file, object: document.object ?? JSONObject())
  }
}
