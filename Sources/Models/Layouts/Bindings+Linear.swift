import Numerics

extension ModelConfiguration {
  /// The parameters of a linear mixer under their own names; without the table of lower bounds.
  func linearBindings(layer: Int, _ mixer: LinearMixerConfiguration) -> [TensorBinding] {
    mixer.parameterShapes(prefix: "\(ParameterName.block(layer)).self_attn", hidden: hiddenSize)
      .map { TensorBinding($0.name, $0.shape) }
  }

  /// Why the layers' gates cannot share one table of lower bounds; `nil` when they can.
  var boundsRefusal: String? {
    let shapes = blocks.compactMap { block -> [Int]? in
      guard case .linear(let mixer) = block.mixer, let bound = mixer.lowerBound else { return nil }
      return [bound.rows, mixer.keyHeads * mixer.keyDimension]
    }
    guard let other = shapes.first(where: { $0 != shapes[0] }) else { return nil }
    return "forget gates share one table of lower bounds, and layers have \(shapes[0]) and \(other)"
  }

  /// The table of lower bounds that layers share, `[rows, channels]`; `nil` without.
  var lowerBoundShape: [Int]? {
    for block in blocks {
      guard case .linear(let mixer) = block.mixer, let bound = mixer.lowerBound else { continue }
      return [bound.rows, mixer.keyHeads * mixer.keyDimension]
    }
    return nil
  }
}

extension LinearMixerConfiguration {
  /// The mixer's own parameters, in a fixed order.
  ///
  /// - Parameters:
  ///   - prefix: The mixer's place, such as `model.layers.0.self_attn`.
  ///   - hidden: Width of the residual stream.
  public func parameterShapes(prefix: String, hidden: Int) -> [ParameterShape] {
    let (queries, keys) = (heads * keyDimension, keyHeads * keyDimension)
    let (values, width) = (keyHeads * valueDimension, heads * valueDimension)
    var shapes: [(String, [Int])] = []
    func add(_ source: Source, _ name: String, _ parameter: String, _ rows: Int) {
      switch source {
      case .projected: shapes.append(("\(name).weight", [rows, hidden]))
      case .learned: shapes.append((parameter, [rows]))
      case .complement: break
      }
    }
    add(shrink, "q_proj", "shrink", queries)
    add(expand, "k_proj", "expand", keys)
    shapes.append(("v_proj.weight", [values, hidden]))
    if queryKeyNorm {
      shapes += [("q_norm.weight", [keyDimension]), ("k_norm.weight", [keyDimension])]
    }
    if positions == .lrpe { shapes.append(("lrpe.theta", [heads, keyDimension])) }
    switch decay {
    case .none, .fixed: break
    case .learned(let perChannel, _):
      shapes.append(("decay", [perChannel ? queries : heads]))
    case .headGate: shapes.append(("f_proj.weight", [heads, hidden]))
    case .channelGate: shapes.append(("f_proj.weight", [keys, hidden]))
    case .elementwise, .selective:
      shapes.append(("log_rate", [heads, keyDimension, valueDimension]))
      if decay == .selective {
        shapes += [("step_proj.weight", [values, hidden]), ("step_proj.bias", [values])]
      }
    case .outer:
      shapes += [("f_proj.weight", [keys, hidden]), ("f_value_proj.weight", [values, hidden])]
    }
    if update == .delta { shapes.append(("b_proj.weight", [heads, hidden])) }
    switch outputNorm {
    case .none, .unweighted: break
    case .full: shapes.append(("o_norm.weight", [width]))
    case .perHead: shapes.append(("o_norm.weight", [valueDimension]))
    }
    if let gate {
      if let rank = gate.rank {
        shapes += [("g_proj.0.weight", [rank, hidden]), ("g_proj.1.weight", [width, rank])]
      } else {
        shapes.append(("g_proj.weight", [width, hidden]))
      }
    }
    shapes.append(("o_proj.weight", [hidden, width]))
    return shapes.map { ParameterShape(name: "\(prefix).\($0.0)", shape: $0.1) }
  }
}
