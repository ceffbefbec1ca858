import TestSupport
import Testing

@testable import Workflows

/// The counts of arXiv 2406.16690 against its table of models: 4 M tokens a step (480 × 8192), widths and
/// heads of its appendix. 410M has a layer less in TNL and cosFormer2; 1B the width its counts say.
@Suite struct ScalingFormulaTests {
  struct Row {
    let extents: ScalingArchitecture.Extents
    let linearLayers: Int
    /// Millions of parameters and PFLOPs of a step: LLaMA, TNL, HGRN2, cosFormer2.
    let parameters: [Double]
    let operations: [Double]

    init(
      _ layers: Int, _ hidden: Int, _ heads: Int, _ width: Int, linearLayers: Int? = nil,
      _ parameters: [Double], _ operations: [Double]
    ) {
      extents = .init(layers: layers, hiddenSize: hidden, heads: heads, width: width)
      self.linearLayers = linearLayers ?? layers
      self.parameters = parameters
      self.operations = operations
    }

    func extents(_ architecture: ScalingArchitecture) -> ScalingArchitecture.Extents {
      var extents = extents
      if architecture == .tnl || architecture == .cosformer2 { extents.layers = linearLayers }
      return extents
    }
  }

  static let table = [
    Row(6, 512, 4, 1536, [20.5, 21.2, 20.5, 21.3], [1.6, 0.5, 0.5, 0.5]),
    Row(12, 768, 6, 2048, [85.0, 87.3, 84.9, 87.5], [5.6, 2.2, 2.1, 2.3]),
    Row(
      26, 1024, 8, 2816, linearLayers: 25, [334.1, 327.7, 334.0, 328.0], [18.0, 7.9, 8.0, 8.1]),
    Row(32, 1536, 12, 4096, [906.2, 918.6, 906.0, 919.1], [40.4, 22.3, 22.0, 22.7]),
    Row(35, 2560, 20, 6912, [2775.8, 2798.4, 2775.5, 2799.0], [99.6, 66.6, 66.0, 67.4]),
    Row(32, 4096, 32, 11008, [6476.5, 6509.6, 6476.1, 6511.0], [202.7, 154.4, 153.6, 155.6]),
  ]

  @Test(arguments: ScalingArchitecture.allCases)
  func countsAreThePapers(architecture: ScalingArchitecture) throws {
    let place = try #require(ScalingArchitecture.allCases.firstIndex(of: architecture))
    for row in Self.table {
      let extents = row.extents(architecture)
      // The table's LLaMA and cosFormer2 have up to 0.2 % more than the formulas of its text give.
      let parameters = Double(architecture.parameters(extents)) / 1e6
      #expect(abs(parameters - row.parameters[place]) < 0.05 + 0.002 * parameters)
      // The table has one place; the largest model of each kind says three digits.
      let operations = architecture.operations(extents, tokens: 480 * 8192, length: 8192) / 1e15
      #expect(abs(operations - row.operations[place]) < 0.0501, "\(architecture) \(operations)")
    }
  }

  /// With MLPs 8/3 as wide the counts are the paper's 12ld².
  @Test func matricesAreTwelveSquares() {
    let extents = ScalingArchitecture.Extents(layers: 3, hiddenSize: 96, heads: 4, width: 256)
    #expect(ScalingArchitecture.llama.parameters(extents) == 12 * 3 * 96 * 96)
    #expect(ScalingArchitecture.hgrn2.parameters(extents) == 12 * 3 * 96 * 96 + 3 * 96)
  }

  /// What is counted is close to what there is: norms are left out.
  @Test(arguments: ScalingArchitecture.allCases)
  func countsAreCloseToTheModels(architecture: ScalingArchitecture) throws {
    let pipeline = try LadderText.pipeline(
      "{architectures: [\(architecture.rawValue)], sizes: [{name: a, hidden_size: 128, layers: 5, "
        + "heads: 4, width: 352}], tokens: [64]}")
    let cell = try #require(try ScalingCell.cells(of: pipeline, home: "home").first)
    let model = try #require(cell.pipeline.initialize).model(vocabularySize: 300)
    let total = model.parameterCounts.total - 300 * 128
    #expect(abs(Double(total) / Double(cell.parameters) - 1) < 0.03)
  }
}

/// The ladders that come with the package.
@Suite struct LadderFileTests {
  @Test(arguments: [("small.yaml", 36, 2e4, 3e5), ("pipeline.yaml", 72, 1e6, 3e7)])
  func ladders(file: String, count: Int, least: Double, most: Double) throws {
    let pipeline = try Pipeline(contentsOf: "\(PackageFolder.path)/Pipelines/scaling/\(file)")
    let cells = try ScalingCell.cells(of: pipeline, home: "home")
    #expect(cells.count == count && Set(cells.map(\.name)).count == count)
    for cell in cells {
      #expect((least...most).contains(Double(cell.parameters)), "\(cell.name)")
      // The formulas take MLPs to be 8/3 as wide as the model.
      let ratio = Double(cell.size.width) / Double(cell.size.hiddenSize)
      #expect(abs(ratio * 3 / 8 - 1) < 0.05, "\(cell.name)")
    }
  }
}
