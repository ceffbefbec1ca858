import Data
import Formats
import Models

/// A model folder of any format that Herd reads, written as one GGUF file for llama.cpp.
public struct GGUFExport {
  /// How weights are stored. Norms, biases and routers are always F32.
  public enum Weights: String, CaseIterable, Sendable {
    case f32, bf16, q8_0

    var elementType: GGUFElementType {
      switch self {
      case .f32: .f32
      case .bf16: .bf16
      case .q8_0: .q8_0
      }
    }

    /// The value of `general.file_type`.
    var fileType: UInt32 {
      switch self {
      case .f32: 0
      case .q8_0: 7
      case .bf16: 32
      }
    }
  }

  /// How weights are stored.
  public let weights: Weights
  /// The architecture of llama.cpp the file is for.
  public var architecture: String { plan.name.rawValue }
  /// What readers should know, one line each.
  public let notes: [String]
  /// Tensors of the file.
  public var tensorCount: Int { tensors.count }
  private let loader: ModelLoader
  private let plan: GGUFArchitecture
  private let tensors: [GGUFSource]
  private let metadata: [(key: String, value: GGUFValue)]

  /// Decides everything; of weights only gains are read.
  ///
  /// - Parameters:
  ///   - loader: The opened folder.
  ///   - configuration: Its `config.json`.
  ///   - weights: How to store weights; `nil` for BF16 where they are that, else F32.
  ///   - ends: The tokens that end a text.
  /// - Throws: ``ConstructionError`` with the reason and a format that fits; `TokenizerError` for a
  ///   tokenizer that cannot be read.
  public init(
    _ loader: ModelLoader, configuration: ConfigurationFile, weights: Weights? = nil, ends: [Int]
  ) throws {
    self.loader = loader
    let model = loader.layout.configuration
    plan = try GGUFArchitecture(model, gainsAreZero: loader.gainsAreZero())
    let stored = try loader.storedType(of: ParameterName.embedding)
    let chosen = weights ?? (stored == .bf16 ? .bf16 : .f32)
    self.weights = chosen
    tensors = try GGUFSource.all(of: model, for: plan, weights: chosen)
    var notes: [String] = []
    let odd = tensors.filter { $0.staysWide(chosen) }.count
    if odd > 0 {
      notes.append("\(odd) tensors have rows that are no multiple of 32 and are stored as BF16")
    }
    if plan.downScale.significand != 1, chosen == .bf16 {
      notes.append("down projections times \(plan.downScale) are rounded to BF16")
    }
    if let note = Export.noiseNote(
      model.parameterShapes.count { $0.name.hasSuffix(Export.trainingNoise) })
    {
      notes.append(note)
    }
    if plan.padsShared {
      notes.append("glm4moe always has a shared expert; one of zeros is written")
    }
    let folder = loader.checkpoint.folder
    var metadata = try plan.metadata(of: model)
    metadata += [
      ("general.name", .string(folder.split(separator: "/").last.map(String.init) ?? "model")),
      ("general.file_type", .u32(chosen.fileType)),
    ]
    if chosen == .q8_0 { metadata.append(("general.quantization_version", .u32(2))) }
    if Files.exists("\(folder)/tokenizer.json") {
      let vocabulary = try Self.vocabulary(
        folder, rows: model.vocabularySize,
        beginning: try configuration.tokenIDs("bos_token_id").first, ends: ends)
      metadata += vocabulary.metadata
      notes += vocabulary.notes
    } else {
      metadata.append(("tokenizer.ggml.model", .string("none")))
      notes.append("\(folder) has no tokenizer.json: the file takes and gives token ids only")
    }
    self.metadata = metadata
    self.notes = notes
  }

  /// Writes the file `path`; it appears complete or not at all.
  /// - Returns: the size of the file in bytes.
  @discardableResult
  public func run(to path: String, force: Bool = false) throws -> Int {
    let writer = try GGUFWriter(
      path, force: force, metadata: metadata, tensors: tensors.map(\.tensor))
    for tensor in tensors { try tensor.write(to: writer, from: loader) }
    try writer.finish()
    return writer.byteCount
  }

  /// The tokenizer as metadata; one that GGUF cannot hold is refused.
  private static func vocabulary(
    _ folder: String, rows: Int, beginning: Int?, ends: [Int]
  ) throws -> GGUFVocabulary {
    let template = try ChatFormat.template(inFolder: folder)
    do {
      return try GGUFVocabulary(
        folder: folder, rows: rows, beginning: beginning, ends: ends, chatTemplate: template)
    } catch let error as GGUFError {
      throw ConstructionError(.refused, error.description)
    }
  }
}
