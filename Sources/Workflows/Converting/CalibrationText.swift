import Data
import ExpertConstruction
import Formats
import Models
import Numerics

/// The text a conversion watches the dense model on.
struct CalibrationText {
  private let folder: ModelFolder
  private let files: [String]
  private let count: Int
  private let seed: UInt64

  /// More would not be held at once; thousands are enough.
  static let mostTokens = 1 << 24

  /// Tokens of one calibration sequence: as many as the model has positions for, where it says so.
  private var sequenceLength: Int { min(512, folder.configuration.maximumPositions) }

  /// - Parameters:
  ///   - files: Data files, used in equal parts; empty lets the model write its own text.
  ///   - count: Tokens wanted in all.
  init(_ folder: ModelFolder, files: [String], count: Int, seed: UInt64) throws(WorkflowError) {
    guard count > 0 else { throw WorkflowError("calibration needs at least one token") }
    self.folder = folder
    self.files = files
    self.count = count
    self.seed = seed
  }

  /// Token sequences, at least one. Of chats the replies are marked as targets, of other text all.
  func documents(in context: Context) throws -> [CalibrationDocument] {
    files.isEmpty ? try sampled(in: context).map { CalibrationDocument($0) } : try read()
  }

  /// Windows at seeded offsets of each file's stream.
  private func read() throws -> [CalibrationDocument] {
    let tokenizer = try folder.tokenizer()
    let format = try? folder.chatFormat(tokenizer: tokenizer)
    let builder = try TokenStreamBuilder(tokenizer: tokenizer, format: format)
    let each = (count + files.count - 1) / files.count
    var random = RandomStream(seed: seed, purpose: 0xca11)
    var sequences: [CalibrationDocument] = []
    for (domain, file) in files.enumerated() {
      // A bounded part of the file is enough to draw from.
      let stream = try builder.stream(files: [file], tokenLimit: max(32 * each, 1 << 16))
      var left = each
      while left > 0 {
        let length = min(sequenceLength, left, stream.ids.count)
        guard length > 0 else { throw WorkflowError("\(file): holds no tokens to calibrate with") }
        let start = Int(random.uniform() * Double(stream.ids.count - length + 1))
        sequences.append(
          CalibrationDocument(
            Array(stream.ids[start..<start + length]),
            lossMask: Array(stream.lossMask[start..<start + length]), domain: domain))
        left -= length
      }
    }
    return sequences
  }

  /// Text the dense model writes itself, from the beginning-of-text token.
  private func sampled(in context: Context) throws -> [[Int32]] {
    let model = try folder.loader.model(dtype: nil, in: context)
    let first = Int32(clamping: try folder.config.optionalInteger("bos_token_id") ?? 1)
    guard first >= 0, first < folder.configuration.vocabularySize else {
      throw WorkflowError("\(folder.config.path): bos_token_id \(first) is outside the vocabulary")
    }
    return try SampledText.documents(
      from: model, prompts: [[first]], tokens: count, stop: folder.endTokens(), seed: seed,
      in: context)
  }
}
