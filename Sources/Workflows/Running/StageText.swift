import Data
import Formats
import Training

/// The text of training stages as tokens, each file read once where several runs need it.
struct StageText {
  /// The folder whose tokenizer and chat format count.
  let folder: String
  let tokenizer: Tokenizer
  let pipeline: Pipeline
  /// The run folder.
  let run: String
  let shared: SharedWork
  let note: (String) -> Void

  /// All records of a data file.
  func stream(_ source: StageSettings.DataSource, stage: String) throws -> TokenStream {
    // A folder that tells no chat format can still be trained on plain text.
    let format =
      try source.format.map {
        try ChatFormat.named($0, folder: folder, tokenizer: tokenizer)
      } ?? (try? ChatFormat.detect(folder: folder, tokenizer: tokenizer))
    let builder = try TokenStreamBuilder(tokenizer: tokenizer, format: format)
    let file = try pipeline.resolve(source.file, run: run)
    return try shared.once("\(file) \(source.format ?? "")") {
      note("\(stage): reading \(file)")
      return try builder.stream(files: [file])
    }
  }
}
