/// Drop-Upcycling (Nakamura et al. 2025): every expert is a copy of the whole dense MLP in which a
/// random share of the neurons is drawn anew, so that training tells the experts apart sooner.
///
/// Each expert draws its own neurons. Their gate and up rows and their down columns come from normal
/// distributions with the mean and the deviation of the weights they replace, matrix by matrix. The
/// published code draws the neurons of the three matrices apart from one another; here, as in the
/// paper, a neuron is new or old as a whole.
public struct DropUpcycleStrategy: ExpertConstructionStrategy {
  public let summary =
    "every expert a copy of the whole MLP with a random share of its neurons drawn anew"
  public let source = "Nakamura et al. 2025, Drop-Upcycling"
  public let data = "none"
  public let cost = "copying the weights E times and drawing the new ones"
  public let inputPasses = 0
  public let readsWeights = false
  public let form = SplitForm.copied
  public let sharedUnits = SharedUnits.none
  public let standardRouter = RouterName.random

  /// The share that did best in the paper.
  public static let publishedRatio = 0.5

  /// The share of an expert's neurons that is drawn anew.
  private let ratio: Double

  /// - Parameter ratio: Above 0 and below 1.
  public init(ratio: Double = publishedRatio) { self.ratio = ratio }

  public func refusal(of geometry: SplitGeometry) -> String? {
    let range = "--drop-ratio must be above 0 and below 1"
    guard ratio > 0, ratio < 1 else {
      return "a drop ratio of \(ratio): \(range); --strategy upcycle draws nothing anew"
    }
    let count = redrawn(of: geometry)
    return count > 0 && count < geometry.width
      ? nil
      : "a drop ratio of \(ratio) draws \(count) of \(geometry.width) neurons anew; some must be new "
        + "and some stay, so give another --drop-ratio"
  }

  /// Neurons of each expert that are drawn anew.
  private func redrawn(of geometry: SplitGeometry) -> Int {
    Int((ratio * Double(geometry.width)).rounded())
  }

  public func split(_ layer: LayerUnderConstruction) throws -> NeuronSplit {
    let (geometry, count) = (layer.geometry, redrawn(of: layer.geometry))
    let redraw = NeuronRedraw(seed: layer.seed, layer: layer.index)
    return try NeuronSplit(
      copying: geometry,
      redrawn: (0..<geometry.experts).map {
        redraw.neurons(count, of: geometry.width, expert: $0)
      })
  }
}
