import Formats
import Reports
import Workflows

extension CheckpointInspection {
  /// The findings for people.
  var summary: String {
    let model = configuration
    var table = FieldList()
    table.append("checkpoint", path)
    table.append(
      "architecture",
      "\(format): \(model.blocks.count) blocks, hidden \(model.hiddenSize), vocabulary "
        + "\(model.vocabularySize), \(model.maximumPositions) positions, "
        + (model.tiedEmbeddings ? "tied embeddings" : "separate output head"))
    if let residual = model.residual {
      table.append("residual", "of normalised rows, \(residual.summary)")
    }
    for run in blocks { table.append(run.label, run.text) }
    table.append(
      "parameters",
      "\(Quantity.count(parameters.total)) total, \(Quantity.count(parameters.active)) active "
        + "(\(Quantity.percent(Double(parameters.active) / Double(max(1, parameters.total)))))")
    let types = elementTypes.map { "\($0.tensors) × \($0.type.rawValue)" }
    table.append(
      "tensors",
      "\(tensors.count) (\(types.joined(separator: ", "))), \(Quantity.bytes(totalBytes))")
    if !ignoredTensors.isEmpty {
      table.append("ignored", ignoredTensors.joined(separator: ", "))
    }
    for shard in shards {
      table.append(
        "shard", "\(shard.name): \(shard.tensors) tensors, \(Quantity.bytes(shard.bytes))")
    }
    table.append("tokenizer", tokenizer?.text ?? "none (tokenizer.json is missing)")
    return table.text
  }

  /// Every tensor with type, shape and size.
  var tensorTable: String {
    var table = TextTable(
      header: ["tensor", "dtype", "shape", "size"],
      alignments: [.leading, .leading, .leading, .trailing])
    for tensor in tensors {
      let shape = "[\(tensor.shape.map(String.init).joined(separator: ", "))]"
      table.add(
        [tensor.name, tensor.elementType.rawValue, shape, Quantity.bytes(tensor.byteCount)])
    }
    return table.text()
  }
}

extension CheckpointInspection.BlockRun {
  fileprivate var label: String {
    layers.count == 1
      ? "block \(layers.lowerBound)" : "blocks \(layers.lowerBound)-\(layers.upperBound)"
  }

  fileprivate var text: String { "\(mixerText); \(mlpText)" }

  private var mixerText: String {
    switch block.mixer {
    case .attention(let attention):
      "attention, \(attention.heads) query heads, \(attention.keyHeads) key heads of "
        + "\(attention.headDimension)"
        + (attention.window.map { ", window \($0)" } ?? "")
        + (attention.additions.map { ", \($0)" } ?? "")
        + (attention.mixture.map { mixture in
          ", \(mixture.experts) experts (\(mixture.kind.rawValue)), top-\(mixture.topK)"
            + (mixture.sharedHeads.isEmpty ? "" : ", \(mixture.sharedHeads.count) heads shared")
            + ", \(Quantity.percent(mixture.activeShare(of: attention.heads))) active"
        } ?? "")
    case .linear(let linear): linear.summary
    }
  }

  private var mlpText: String {
    switch block.mlp {
    case .dense(let dense): "dense MLP of width \(dense.width)"
    case .mixture(let mixture):
      "\(mixture.experts) experts of width \(mixture.expertWidth), top-\(mixture.topK)"
        + (mixture.sharedWidth > 0 ? ", shared width \(mixture.sharedWidth)" : "")
        + ", \(Quantity.percent(mixture.activeShare)) active"
    }
  }
}

extension CheckpointInspection.TokenizerSummary {
  fileprivate var text: String {
    "\(vocabularySize) ids, \(specialTokens.count) special, chat format "
      + (chatFormat ?? "unknown (give --chat-format)")
  }
}
