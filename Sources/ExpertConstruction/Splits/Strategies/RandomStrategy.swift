import Numerics

/// A seeded random division, the shared neurons included.
public struct RandomStrategy: ExpertConstructionStrategy {
  public let summary = "a seeded random division"
  public let source = "Zhu et al. 2024, LLaMA-MoE (independent random)"
  public let data = "none"
  public let cost = "copying the weights"
  public let inputPasses = 0
  public let readsWeights = false

  /// The strategy; the seed comes with the layer.
  public init() {}

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    var neurons = (0..<Int32(layer.geometry.width)).map { $0 }
    var random = layer.random(.split)
    // Fisher and Yates, spelled out: the library's shuffle may change between releases.
    for index in stride(from: neurons.count - 1, to: 0, by: -1) {
      neurons.swapAt(index, random.index(below: index + 1))
    }
    return try NeuronSplit(cutting: neurons, geometry: layer.geometry)
  }
}

extension RandomStream {
  /// Uniform in `0..<bound`.
  mutating func index(below bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }
}
