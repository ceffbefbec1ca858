import Formats
import Models

extension CheckpointInspection {
  /// The findings for machines.
  /// - Parameter listingTensors: Whether to name every tensor.
  public func json(listingTensors: Bool = false) -> JSON {
    var types = JSONObject()
    for (type, tensors) in elementTypes { types[type.rawValue] = JSON(tensors) }
    var object: JSONObject = [
      "path": JSON(path), "model_type": JSON(modelType), "format": JSON(format),
      "architecture": architecture,
      "parameters": ["total": JSON(parameters.total), "active": JSON(parameters.active)],
      "tensors": JSON(tensors.count), "bytes": JSON(totalBytes), "dtypes": .object(types),
      "shards": .array(
        shards.map {
          ["file": JSON($0.name), "tensors": JSON($0.tensors), "bytes": JSON($0.bytes)]
        }),
      "ignored_tensors": .array(ignoredTensors.map { JSON($0) }),
      "tokenizer": tokenizer?.json ?? .null,
    ]
    if listingTensors {
      object["tensor_list"] = .array(
        tensors.map {
          [
            "name": JSON($0.name), "dtype": JSON($0.elementType.rawValue),
            "shape": .array($0.shape.map { JSON($0) }), "bytes": JSON($0.byteCount),
          ]
        })
    }
    return .object(object)
  }

  private var architecture: JSON {
    var object: JSONObject = [
      "layers": JSON(configuration.blocks.count), "hidden_size": JSON(configuration.hiddenSize),
      "vocabulary_size": JSON(configuration.vocabularySize),
      "positions": JSON(configuration.maximumPositions),
      "tied_embeddings": JSON(configuration.tiedEmbeddings),
      "blocks": .array(blocks.map(\.json)),
    ]
    HerdLayout.setAdditions(of: configuration, in: &object)
    return .object(object)
  }
}

extension CheckpointInspection.BlockRun {
  fileprivate var json: JSON {
    let mixer: JSON
    switch block.mixer {
    case .attention(let attention):
      mixer = [
        "type": "attention", "heads": JSON(attention.heads), "key_heads": JSON(attention.keyHeads),
        "head_dimension": JSON(attention.headDimension), "rope_theta": JSON(attention.rope.theta),
        "window": attention.window.map { JSON($0) } ?? .null,
        "mixture": attention.mixture?.json ?? .null,
        "additions": attention.additions.map { JSON($0) } ?? .null,
      ]
    case .linear(let linear): mixer = linear.json
    }
    return [
      "first": JSON(layers.lowerBound), "last": JSON(layers.upperBound), "mixer": mixer,
      "mlp": block.mlp.json,
    ]
  }
}

extension CheckpointInspection.TokenizerSummary {
  fileprivate var json: JSON {
    [
      "vocabulary_size": JSON(vocabularySize),
      "special_tokens": .array(specialTokens.map { JSON($0) }),
      "chat_format": chatFormat.map { JSON($0) } ?? .null,
    ]
  }
}
