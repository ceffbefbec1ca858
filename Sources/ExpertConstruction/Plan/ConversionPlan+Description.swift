import Formats

extension ConversionPlan: CustomStringConvertible {
  /// The plan as text: settings, sizes, what becomes of every kind of tensor.
  public var description: String {
    var lines = [
      "\(source.modelType), \(source.layers) layers, hidden \(source.hidden), "
        + "MLP width \(source.width), \(source.elementType.rawValue)"
    ]
    lines += block.map(mlpLines) ?? ["each MLP stays dense"]
    if !denseLayers.isEmpty {
      let list = denseLayers.sorted().map { "\($0)" }.joined(separator: ", ")
      lines.append("the MLPs of layers \(list) stay dense")
    }
    lines.append(attention?.summary ?? "attention stays dense")
    lines.append(
      "format \(settings.format.rawValue): \(outputs.count) tensors, \(outputBytes) bytes")
    let divided = fates.filter { $0.fate != .copied }.count
    lines.append("\(divided) source tensors are divided, \(fates.count - divided) are copied:")
    for (tensor, fate) in fates {
      switch fate {
      case .copied: lines.append("  \(tensor.name) \(tensor.shape): copied")
      case .divided(let layer, let projection):
        let axis = projection == .down ? "columns" : "rows"
        let target =
          switch block?.geometry.form {
          case .pruned: "the narrower MLP"
          case .copied: "each expert"
          default: "the experts"
          }
        lines.append("  \(tensor.name) \(tensor.shape): \(axis) to \(target) of layer \(layer)")
      }
    }
    lines.append("written:")
    for output in outputs {
      lines.append("  \(output.name) \(output.shape) \(output.elementType.rawValue)")
    }
    return (lines + notes.map { "note: \($0)" }).joined(separator: "\n")
  }

  private func mlpLines(_ block: MixtureBlock) -> [String] {
    let geometry = block.geometry
    let active = Int((geometry.activeShare * 1000).rounded())
    let isCopied = geometry.form == .copied
    if geometry.form == .pruned {
      return [
        "each MLP: \(geometry.activeWidth) of \(geometry.width) neurons kept as a dense MLP; "
          + "\(active / 10).\(active % 10) % of it",
        "strategy \(settings.strategy.rawValue), seed \(settings.seed)",
      ]
    }
    return [
      "each MLP: \(geometry.experts) routed experts of \(geometry.expertWidth), "
        + "top-\(geometry.topK), \(geometry.shared) shared; "
        + "\(active / 10).\(active % 10) % active" + (isCopied ? ", each a copy of the MLP" : ""),
      settings.strategy == .dropUpcycle
        ? "a share of \(settings.dropRatio) of each expert's neurons is drawn anew" : nil,
      "strategy \(settings.strategy.rawValue), router \(settings.router.rawValue)"
        + (block.hasRouterBias ? " with bias" : " without bias")
        + ", recovery \(settings.recovery.rawValue), seed \(settings.seed)",
      settings.sharedPerLayer.map {
        "shared in each layer: " + $0.map { "\($0)" }.joined(separator: ", ")
      },
      "combination \(block.rule.rawValue)"
        + (block.rule == .gained ? "" : ", scale \(block.scale)"),
    ].compactMap { $0 }
  }

  /// The plan as a machine-readable object.
  public var json: JSON {
    let converted = block?.geometry
    let block = block.flatMap { $0.geometry.form == .pruned ? nil : $0 }
    let geometry = block?.geometry
    return [
      "model_type": .string(source.modelType), "layers": JSON(source.layers),
      "experts": geometry.map { JSON($0.experts) } ?? .null,
      "top_k": geometry.map { JSON($0.topK) } ?? .null,
      "shared": geometry.map { JSON($0.shared) } ?? .null,
      "expert_width": geometry.map { JSON($0.expertWidth) } ?? .null,
      "active_share": converted.map { JSON($0.activeShare) } ?? .null,
      "form": converted.map { .string($0.form.rawValue) } ?? .null,
      "active_width": converted.map { JSON($0.activeWidth) } ?? .null,
      "keep_dense": .array(denseLayers.sorted().map { JSON($0) }),
      "attention": attention?.json ?? .null, "construction": .object(settings.provenance),
      "combination": block.map {
        ["rule": .string($0.rule.rawValue), "scale": JSON($0.scale)]
      } ?? .null,
      "router_bias": block.map { .bool($0.hasRouterBias) } ?? .null,
      "format": .string(settings.format.rawValue),
      "bytes": JSON(outputBytes), "notes": .array(notes.map { .string($0) }),
      "tensors": .array(
        outputs.map {
          [
            "name": .string($0.name), "dtype": .string($0.elementType.rawValue),
            "shape": .array($0.shape.map { JSON($0) }),
          ]
        }),
    ]
  }
}
