import Formats

/// One model of a ladder: an architecture at a size, trained on a number of tokens.
struct ScalingCell {
  /// Names folder and row, such as `tnl-4M-5000000`.
  let name: String
  let architecture: ScalingArchitecture
  let size: ScalingSettings.Size
  /// Tokens it is trained on: the budget, rounded up to whole steps.
  let tokens: Int
  /// C in PFLOP/s-days.
  let compute: Double
  /// Everything a run needs to know.
  let pipeline: Pipeline

  /// N, parameters without embeddings as the paper counts them.
  var parameters: Int { architecture.parameters(size.extents) }
  /// The peak learning rate.
  var learningRate: Double { pipeline.stages[0].learningRate }

  /// What of its folder nobody needs once it is finished. The model it began with follows from the seed.
  func leftovers(keepingModels keeps: Bool) -> [String] {
    let stage = pipeline.stages[0].name
    return ["initial", keeps ? "\(stage)/checkpoint" : stage]
  }

  /// The cells of a pipeline with a `scaling` section: the smallest budget first, so that a ladder that is
  /// not finished has something of every architecture.
  /// - Parameter home: The folder that `{run}` stands for in all cells.
  /// - Throws: one line that names the cell, for one that cannot be made.
  static func cells(of pipeline: Pipeline, home: String) throws -> [ScalingCell] {
    guard let scaling = pipeline.scaling else {
      throw WorkflowError(
        "\(pipeline.path): there is no \"scaling\" section; use herd pretrain, or add one")
    }
    var cells: [ScalingCell] = []
    for tokens in scaling.tokens {
      for size in scaling.sizes {
        for architecture in scaling.architectures {
          let name = "\(architecture.rawValue)-\(size.name)-\(tokens)"
          do {
            cells.append(try ScalingCell(name, architecture, size, tokens, pipeline, home: home))
          } catch {
            throw WorkflowError("\(error) (cell \(name))")
          }
        }
      }
    }
    for (index, cell) in cells.enumerated() {
      if let twin = cells[..<index].first(where: {
        ($0.architecture, $0.size, $0.tokens) == (cell.architecture, cell.size, cell.tokens)
      }) {
        throw WorkflowError(
          "\(pipeline.path): scaling: \(twin.name) and \(cell.name) are the same number of steps, \(cell.tokens) tokens; keep one"
        )
      }
    }
    return cells
  }

  private init(
    _ name: String, _ architecture: ScalingArchitecture, _ size: ScalingSettings.Size,
    _ tokens: Int, _ ladder: Pipeline, home: String
  ) throws {
    var object = ladder.json.object ?? JSONObject()
    for key in ["scaling", "synthesize"] { object[key] = nil }
    object["name"] = JSON(name)
    object["initialize"] = .object(Self.initialize(architecture, size, ladder))
    var stage = object["stages"]?.array?.first?.object ?? JSONObject()
    stage["tokens"] = JSON(tokens)
    if let rate = size.learningRates[architecture] { stage["learning_rate"] = JSON(rate) }
    object["stages"] = .array([.object(stage)])
    var pipeline = try Pipeline(path: ladder.path, object: object)
    pipeline.home = home
    let training = pipeline.stages[0]
    let positions = pipeline.initialize?.maximumPositions ?? 0
    guard training.sequenceLength <= positions else {
      throw WorkflowError(
        "\(ladder.path): sequence_length \(training.sequenceLength) exceeds the models' \(positions) positions; lower it, or set max_positions in \"initialize\""
      )
    }
    self.name = name
    self.architecture = architecture
    self.size = size
    self.pipeline = pipeline
    self.tokens = training.steps * training.sequenceLength * training.batchSequences
    compute =
      architecture.operations(
        size.extents, tokens: Double(self.tokens), length: training.sequenceLength)
      / ScalingArchitecture.operationsOfDay
  }

  /// The model of a cell. Its tokenizer is the ladder's: made once, or another folder's.
  private static func initialize(
    _ architecture: ScalingArchitecture, _ size: ScalingSettings.Size, _ ladder: Pipeline
  ) -> JSONObject {
    var initialize = ladder.json["initialize"]?.object ?? JSONObject()
    initialize["architecture"] = JSON(architecture.family.rawValue)
    initialize["hidden_size"] = JSON(size.hiddenSize)
    initialize["layers"] = JSON(size.layers)
    initialize["heads"] = JSON(size.heads)
    initialize["width"] = JSON(size.width)
    if initialize["tokenizer"]?.string == nil { initialize["tokenizer"] = "{run}/initial" }
    return initialize
  }

  /// The run that all cells share, which writes text and the tokenizer learned from it: that of the first
  /// cell up to its training. `nil` where nothing is generated.
  static func home(of pipeline: Pipeline, _ cells: [ScalingCell]) throws -> Pipeline? {
    guard let synthesize = pipeline.json["synthesize"], pipeline.synthesize != nil,
      var object = cells.first?.pipeline.json.object
    else { return nil }
    for key in ["stages", "evaluate"] { object[key] = nil }
    object["name"] = JSON(pipeline.name)
    object["synthesize"] = synthesize
    if pipeline.json["initialize"]?["tokenizer"]?.string == nil,
      var initialize = object["initialize"]?.object
    {
      initialize["tokenizer"] = nil
      object["initialize"] = .object(initialize)
    }
    return try Pipeline(path: pipeline.path, object: object)
  }
}

extension ScalingSettings.Size {
  /// What counts are made of.
  var extents: ScalingArchitecture.Extents {
    .init(layers: layers, hiddenSize: hiddenSize, heads: heads, width: width)
  }
}
