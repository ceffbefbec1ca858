import Formats
import Models

/// Hashes of the values of neurons or heads, for finding the same ones in another order.
struct Fingerprints {
  /// Mixes the bits of values into one state per row or column.
  private static func mix(_ state: UInt64, _ value: Float) -> UInt64 {
    // Both zeros are the same value.
    let bits = value == 0 ? 0 : value.bitPattern
    var mixed = (state ^ UInt64(bits)) &* 0x9e37_79b9_7f4a_7c15
    mixed ^= mixed >> 29
    return mixed &* 0xbf58_476d_1ce4_e5b9
  }

  private static let chunk = 1 << 20

  /// Adds rows `[count, width]` of a parameter to the states of those rows.
  static func addRows(
    _ parameter: String, from offset: Int, width: Int, to states: inout ArraySlice<UInt64>,
    _ loader: ModelLoader
  ) throws {
    let step = max(1, chunk / width)
    for start in stride(from: 0, to: states.count, by: step) {
      let rows = min(step, states.count - start)
      let first = offset + start * width
      let values = try loader.floats(parameter, first..<first + rows * width)
      for row in 0..<rows {
        var state = states[states.startIndex + start + row]
        for value in values[row * width..<(row + 1) * width] { state = mix(state, value) }
        states[states.startIndex + start + row] = state
      }
    }
  }

  /// Adds columns of a parameter `[rows, width]`, divided by `scale`, to the states of those columns.
  static func addColumns(
    _ parameter: String, from offset: Int, rows: Int, scale: Double,
    to states: inout ArraySlice<UInt64>, _ loader: ModelLoader
  ) throws {
    let width = states.count
    let step = max(1, chunk / max(1, width))
    let factor = Float(1 / scale)
    for start in stride(from: 0, to: rows, by: step) {
      let count = min(step, rows - start)
      let first = offset + start * width
      let values = try loader.floats(parameter, first..<first + count * width)
      for (index, value) in values.enumerated() {
        let column = states.startIndex + index % width
        states[column] = mix(states[column], value * factor)
      }
    }
  }

  /// One hash per neuron of a layer's MLP: of its gate and up rows, and of those with its down
  /// column.
  static func neurons(_ layer: Int, _ loader: ModelLoader) throws -> (
    rows: [UInt64], whole: [UInt64]
  ) {
    let neurons = try loader.neurons(ofLayer: layer)
    var rows = [UInt64](repeating: 1, count: neurons.count)
    var first = 0
    for unit in neurons.units {
      for projection in [Projection.gate, .up] {
        try addRows(
          unit.parameters[projection] ?? "", from: unit.offset, width: neurons.hidden,
          to: &rows[first..<first + unit.width], loader)
      }
      first += unit.width
    }
    var whole = rows
    first = 0
    for unit in neurons.units {
      try addColumns(
        unit.parameters[.down] ?? "", from: unit.offset, rows: neurons.hidden, scale: unit.scale,
        to: &whole[first..<first + unit.width], loader)
      first += unit.width
    }
    return (rows, whole)
  }

  /// One hash per key head with its query heads, whose order does not count.
  static func heads(
    _ layer: Int, _ attention: AttentionConfiguration, _ loader: ModelLoader
  ) throws -> [UInt64] {
    let prefix = "\(ParameterName.block(layer)).self_attn"
    let (hidden, dimension) = (loader.layout.configuration.hiddenSize, attention.headDimension)
    func rows(_ name: String, _ heads: Int) throws -> [UInt64] {
      var states = [UInt64](repeating: 1, count: heads * dimension)
      try addRows(
        "\(prefix).\(name).weight", from: 0, width: hidden, to: &states[...], loader)
      return states
    }
    var queries = try rows("q_proj", attention.heads)
    try addColumns(
      "\(prefix).o_proj.weight", from: 0, rows: hidden,
      scale: attention.mixture?.foldedScale ?? 1, to: &queries[...], loader)
    let (keys, values) = (
      try rows("k_proj", attention.keyHeads), try rows("v_proj", attention.keyHeads)
    )
    func fold(_ states: ArraySlice<UInt64>) -> UInt64 {
      states.reduce(7) { ($0 ^ $1) &* 0x9e37_79b9_7f4a_7c15 ^ ($0 >> 31) }
    }
    let group = attention.heads / attention.keyHeads
    return (0..<attention.keyHeads).map { head in
      let own = (head * group..<(head + 1) * group).map {
        fold(queries[$0 * dimension..<($0 + 1) * dimension])
      }
      let range = head * dimension..<(head + 1) * dimension
      return fold(([fold(keys[range]), fold(values[range])] + own.sorted())[...])
    }
  }
}
