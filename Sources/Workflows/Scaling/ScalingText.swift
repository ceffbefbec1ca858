import Data
import Formats
import Reports
import Training

/// The training text of a ladder: how large it is, and how often it is seen.
struct ScalingText: Equatable {
  /// One data file.
  struct Source: Equatable {
    /// The file as the pipeline names it.
    let file: String
    /// Its tokens.
    let tokens: Int
    /// How often the largest budget sees each of them.
    let epochs: Double
  }

  let sources: [Source]
  /// Tokens of the largest budget.
  let largestBudget: Int
  /// Rows of the embedding.
  let vocabulary: Int

  /// Reads the text.
  /// - Parameter isWanted: Which of the files are looked at.
  /// - Throws: ``WorkflowError`` where a budget sees a file more than ``ScalingSettings/mostEpochs`` times.
  init(
    of cells: [ScalingCell], run: String, shared: SharedWork, note: @escaping (String) -> Void,
    where isWanted: (String) -> Bool = { _ in true }
  ) throws {
    guard let cell = cells.max(by: { $0.tokens < $1.tokens }),
      let tokenizer = cell.pipeline.initialize?.tokenizer
    else { throw WorkflowError("a ladder without cells") }
    largestBudget = cell.tokens
    let folder = try cell.pipeline.resolve(tokenizer, run: run)
    let files = try TokenizerFiles(folder: folder)
    vocabulary = files.vocabularySize
    let text = StageText(
      folder: folder, tokenizer: try TokenizerFiles.tokenizer(of: folder), pipeline: cell.pipeline,
      run: run, shared: shared, note: note)
    let stage = cell.pipeline.stages[0]
    let whole = stage.data.reduce(0) { $0 + $1.weight }
    sources = try stage.data.filter { isWanted($0.file) }.map { source in
      let tokens = try text.stream(source, stage: stage.name).ids.count
      return Source(
        file: source.file, tokens: tokens,
        epochs: Double(cell.tokens) * source.weight / whole / Double(max(1, tokens)))
    }
    let most = ScalingSettings.mostEpochs
    if let worst = sources.max(by: { $0.epochs < $1.epochs }), worst.epochs > most {
      // Budgets are rounded up to whole steps.
      let step = stage.sequenceLength * stage.batchSequences
      let largest = Int(Double(cell.tokens) * most / worst.epochs) / step * step
      throw WorkflowError(
        "\(cell.pipeline.path): scaling: a budget of \(cell.tokens) tokens is \(Decimals.fixed(worst.epochs, places: 1)) epochs of \(worst.file), which has \(worst.tokens); at most \(Decimals.fixed(most, places: 0)) are allowed: give at most \(largest) tokens, the file a smaller weight, or more text"
      )
    }
  }

  /// Whether it is of these cells.
  func isOf(_ cells: [ScalingCell]) -> Bool {
    let files = cells.first?.pipeline.stages[0].data.map(\.file) ?? []
    return largestBudget == cells.map(\.tokens).max() && sources.map(\.file) == files
  }

  init(json: JSON) {
    vocabulary = json["vocabulary"]?.int ?? 0
    largestBudget = json["largest_budget"]?.int ?? 0
    sources = (json["data"]?.array ?? []).map {
      Source(
        file: $0["file"]?.string ?? "", tokens: $0["tokens"]?.int ?? 0,
        epochs: $0["epochs"]?.double ?? 0)
    }
  }

  var json: JSON {
    [
      "vocabulary": JSON(vocabulary), "largest_budget": JSON(largestBudget),
      "data": .array(
        sources.map {
          ["file": JSON($0.file), "tokens": JSON($0.tokens), "epochs": JSON($0.epochs)]
        }),
    ]
  }
}
