import Formats
import Models
import Numerics
import Testing

@testable import ExpertConstruction

/// Opens a model folder of any format that herd reads.
func openModel(_ path: String) throws -> (loader: ModelLoader, config: ConfigurationFile) {
  let config = try ConfigurationFile(contentsOf: "\(path)/config.json")
  return (
    try ModelLoader(
      layout: CheckpointLayouts.layout(for: config),
      checkpoint: Checkpoint(folder: path, access: .pread)), config
  )
}

/// Plans the export of a herd folder.
func openExport(_ herd: String, to format: OutputFormat) throws -> Export {
  try Export(
    Checkpoint(folder: herd), configuration: ConfigurationFile(contentsOf: "\(herd)/config.json"),
    to: format)
}

/// Expects two folders' models to give the same logits up to rounding.
func expectSameLogits(
  _ given: String, _ expected: String, within tolerance: Float = 1e-5,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let context = try Context()
  func logits(_ path: String) throws -> [Float] {
    let model = try openModel(path).loader.model(in: context)
    return context.read(model.logits([0, 5, 9, 2, 15, 7, 1, 1, 3], in: context))
  }
  let (given, expected) = try (logits(given), logits(expected))
  let largest = expected.map(abs).max() ?? 0
  #expect(
    zip(given, expected).allSatisfy { abs($0 - $1) <= tolerance * max(1, largest) },
    sourceLocation: sourceLocation)
}
