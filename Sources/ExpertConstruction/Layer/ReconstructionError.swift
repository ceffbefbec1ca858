import Numerics

extension LayerUnderConstruction {
  /// How far the layer is from the dense MLP on calibration text when each token uses the shared
  /// neurons and the experts that `router` picks, all with weight one: the squared length of what is
  /// missing over that of the dense output.
  func reconstructionError(_ split: NeuronSplit, _ router: Router) throws -> Double {
    let record = try activations()
    let (width, topK) = (weights.width, split.experts.isEmpty ? 0 : geometry.topK)
    let routing = context.route(
      router.scores(record.x_TD, context), topK: topK, combination: .uniform(weight: 1))
    let picks = context.readIntegers(routing.experts_TK)
    var (missing, whole) = (0.0, 0.0)
    let block = 1024
    for start in stride(from: 0, to: record.x_TD.rows, by: block) {
      let x_TD = record.x_TD.slice(start..<min(record.x_TD.rows, start + block))
      let hidden_TI = context.swiglu(
        gate: context.linear(x_TD, weight: weights.gate_ID),
        up: context.linear(x_TD, weight: weights.up_ID))
      var values = context.read(hidden_TI)
      for token in 0..<x_TD.rows {
        for neuron in split.shared { values[token * width + Int(neuron)] = 0 }
        for pick in picks[(start + token) * topK..<(start + token + 1) * topK] {
          for neuron in split.experts[Int(pick)] { values[token * width + Int(neuron)] = 0 }
        }
      }
      func squares(_ hidden: Tensor) -> Double {
        let y_TD = context.linear(hidden, weight: weights.down_DI)
        return context.readDoubles(context.columnSums(y_TD, squared: true)).reduce(0, +)
      }
      whole += squares(hidden_TI)
      missing += squares(context.tensor(values, hidden_TI.shape))
    }
    return whole > 0 ? missing / whole : 0
  }
}
