import ArgumentParser
import ExpertConstruction
import Glibc
import Numerics

/// The solvers that divide neurons, on made-up data.
struct Solve: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Exact and greedy assignment, and the co-activation partitioner, one layer, CPU.")
  @Option(help: "Neurons of the MLP.") var width = 14336
  @Option(help: "Small: only activations matter to the partitioner.") var hidden = 64
  @Option(help: "Calibration tokens of the partitioner.") var tokens = 8192
  @Option(parsing: .upToNextOption) var experts = [8, 64]

  func run() throws {
    for count in experts {
      var random = RandomStream(seed: 3)
      // Skewed, as importance is: few neurons matter much.
      let values = (0..<width * count).map { _ in
        let value = Float(random.uniform())
        return value * value * value / (0.02 + Float(random.uniform()))
      }
      for way in ImportanceAssignment.allCases {
        var assignment: [Int32] = []
        let time = timed { assignment = way.solve(values_NG: values, groups: count) }
        let total = assignment.enumerated().reduce(0.0) {
          $0 + Double(values[$1.offset * count + Int($1.element)])
        }
        report(
          "assign \(way.rawValue) \(width) to \(count)",
          ["seconds": time, "total": total, "peak_rss_mb": peakMemory])
      }
    }
    let context = try Context(device: .cpu())
    for count in experts {
      let layer = try layer(experts: count, context)
      let whole = try timed { _ = try CoactivationStrategy().split(layer) }
      // The activations are recorded by now.
      let again = try timed { _ = try CoactivationStrategy().split(layer) }
      report(
        "coactivation \(width) to \(count), \(tokens) tokens",
        ["seconds": again, "with_record_seconds": whole, "peak_rss_mb": peakMemory])
    }
  }

  private func layer(experts: Int, _ context: Context) throws -> LayerUnderConstruction {
    func values(_ shape: [Int], _ bound: Float, _ seed: UInt64) -> Tensor {
      var random = RandomStream(seed: seed)
      return context.tensor(random.uniform(shape.reduce(1, *), in: -bound...bound), shape)
    }
    return LayerUnderConstruction(
      index: 0,
      geometry: try SplitGeometry(width: width, experts: experts, topK: 1, shared: 0),
      weights: MLPWeights(
        gate_ID: values([width, hidden], 0.2, 1), up_ID: values([width, hidden], 0.2, 2),
        down_DI: values([hidden, width], 0.2, 3)),
      inputs: RecordedInputs(values([tokens, hidden], 1.7, 4), batch: 2048), seed: 1,
      context: context)
  }

  /// The most memory the process has held, in megabytes.
  private var peakMemory: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
  }
}
