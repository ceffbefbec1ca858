import Formats

extension LinearizationPlan: CustomStringConvertible {
  /// The plan as text: which layers, and what becomes of every tensor.
  public var description: String {
    func list(_ layers: [Int]) -> String {
      layers.isEmpty ? "none" : layers.map { "\($0)" }.joined(separator: ", ")
    }
    var lines = [
      "linear layers: \(list(linear))", "softmax layers: \(list(kept))",
      "mixer \(settings.mixer.rawValue), slopes \(settings.slopes.rawValue)"
        + (settings.sharesKeys ? ", one per key head" : "")
        + (settings.window.map { ", softmax over \($0) tokens beside" } ?? "")
        + ", seed \(settings.seed)",
    ]
    for (tensor, fate) in fates {
      switch fate {
      case .copied: lines.append("  \(tensor.name) \(tensor.shape): copied")
      case .repeated(let copies):
        lines.append("  \(tensor.name) \(tensor.shape): each head \(copies.times) times")
      }
    }
    for parameter in created {
      let values =
        switch parameter.values {
        case .ones: "ones"
        case .normal(let deviation): "drawn, deviation \(deviation)"
        }
      lines.append("  \(parameter.tensor.name) \(parameter.tensor.shape): new, \(values)")
    }
    return (lines + notes.map { "note: \($0)" }).joined(separator: "\n")
  }

  /// The plan for machines.
  public var json: JSON {
    [
      "linear_layers": .array(linear.map { JSON($0) }),
      "softmax_layers": .array(kept.map { JSON($0) }),
      "tensors": .array(
        outputs.map {
          [
            "name": JSON($0.name), "dtype": JSON($0.elementType.rawValue),
            "shape": .array($0.shape.map { JSON($0) }),
          ]
        }), "new_tensors": .array(created.map { JSON($0.tensor.name) }),
      "notes": .array(notes.map { JSON($0) }),
    ]
  }
}
