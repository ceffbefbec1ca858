import Formats
import Reports

/// How much each layer's softmax matters: what a model loses that has this one layer linear.
public struct LayerImportance: Sendable, Equatable {
  /// One layer's figures.
  public struct Layer: Sendable, Equatable {
    /// Loss per token of recalled answers with this layer linear, in nats.
    public var recallLoss: Double
    /// Loss per token of ordinary text with this layer linear, in nats.
    public var textLoss: Double
  }

  /// Every layer, in order.
  public var layers: [Layer]
  /// Layers that stay softmax.
  public var count: Int

  /// HALO caps the ratio, which is without bound for the layer that text misses least.
  static let cap = 50.0

  /// For each layer the recall it costs over the text it costs (HALO, eq. of layer selection): with losses
  /// in the place of scores, `(R_i - min R) / (C_i - min C + 1e-6)`, at most 50.
  public var scores: [Double] {
    let recall = layers.map(\.recallLoss).min() ?? 0
    let text = layers.map(\.textLoss).min() ?? 0
    return layers.map {
      min(Self.cap, ($0.recallLoss - recall) / ($0.textLoss - text + 1e-6))
    }
  }

  /// The `count` layers of the highest score, ascending; of equal ones the one that costs more recall,
  /// then the earlier.
  func layers(_ count: Int) -> [Int] {
    let scores = scores
    let order = layers.indices.sorted {
      (scores[$1], layers[$1].recallLoss, $0) < (scores[$0], layers[$0].recallLoss, $1)
    }
    return order.prefix(count).sorted()
  }

  /// The figures for people.
  public var text: String {
    let kept = Set(layers(count))
    var table = TextTable(header: ["linear layer", "recall loss", "text loss", "importance", ""])
    for (index, (layer, score)) in zip(layers, scores).enumerated() {
      table.add([
        "\(index)", Decimals.fixed(layer.recallLoss, places: 4),
        Decimals.fixed(layer.textLoss, places: 4), Decimals.fixed(score, places: 3),
        kept.contains(index) ? "stays softmax" : "",
      ])
    }
    return table.text()
  }

  /// The figures for machines.
  public var json: JSON {
    .array(
      zip(layers, scores).map {
        [
          "recall_loss": JSON($0.recallLoss), "text_loss": JSON($0.textLoss),
          "importance": JSON($1),
        ]
      })
  }
}
