import Glibc
import Models
import Numerics
import TestSupport
import Testing

/// Every family against its formulas written out token by token in Double.
@Suite struct FamilyMixerTests {
  private static let (tokens, hidden, heads, dimension) = (7, 8, 2, 4)
  private static let (layer, layers) = (0, 3)

  private func rows(_ context: Context, _ name: String, _ parameters: [Parameter]) -> [[Double]] {
    guard let parameter = parameters.first(where: { $0.name == "m.\(name)" }) else { return [] }
    let values = context.readDoubles(parameter.value)
    let columns = parameter.value.columns
    return stride(from: 0, to: values.count, by: columns).map { Array(values[$0..<$0 + columns]) }
  }

  private func product(_ x: [Double], _ weight: [[Double]]) -> [Double] {
    weight.map { row in zip(row, x).reduce(0) { $0 + $1.0 * $1.1 } }
  }

  private func rms(_ x: [Double]) -> [Double] {
    let size = (x.reduce(0) { $0 + $1 * $1 } / Double(x.count) + 1e-5).squareRoot()
    return x.map { $0 / size }
  }

  private func silu(_ x: [Double]) -> [Double] { x.map { $0 / (1 + exp(-$0)) } }
  private func sigmoid(_ x: [Double]) -> [Double] { x.map { 1 / (1 + exp(-$0)) } }
  private func times(_ x: [Double], _ y: [Double]) -> [Double] { zip(x, y).map { $0 * $1 } }

  /// Head by head `S = decay S + kᵀv`, `o = q S`; `decay` and keys may differ by channel.
  private func recurrence(
    _ q: [[Double]], _ k: [[Double]], _ v: [[Double]], decay: (_ t: Int, _ channel: Int) -> Double
  ) -> [[Double]] {
    let d = q[0].count / Self.heads
    let e = v[0].count / Self.heads
    var state = [[Double]](repeating: [Double](repeating: 0, count: e), count: q[0].count)
    return q.indices.map { t in
      var output = [Double](repeating: 0, count: v[0].count)
      for head in 0..<Self.heads {
        for i in head * d..<(head + 1) * d {
          for j in 0..<e {
            state[i][j] = decay(t, i) * state[i][j] + k[t][i] * v[t][head * e + j]
            output[head * e + j] += q[t][i] * state[i][j]
          }
        }
      }
      return output
    }
  }

  /// `[x cos, x sin]` within each head.
  private func turned(_ x: [[Double]], angle: (_ channel: Int) -> Double) -> [[Double]] {
    let d = Self.dimension
    return x.enumerated().map { t, row in
      (0..<Self.heads).flatMap { head in
        let channels = head * d..<(head + 1) * d
        return channels.map { row[$0] * cos(Double(t) * angle($0)) }
          + channels.map { row[$0] * sin(Double(t) * angle($0)) }
      }
    }
  }

  private func expected(_ family: ModelFamily, _ x: [[Double]], _ w: (String) -> [[Double]])
    -> [[Double]]
  {
    func map(_ name: String) -> [[Double]] {
      let weight = w("\(name).weight")
      return x.map { product($0, weight) }
    }
    let slopes = DecaySlopes.tnl.values(heads: Self.heads, layer: Self.layer, layers: Self.layers)
    let d = Self.dimension
    let v = map("v_proj")
    let q = map("q_proj").map(silu)
    var mixed: [[Double]]
    switch family {
    case .transnormer:
      let theta = w("lrpe.theta").flatMap { $0 }
      mixed = recurrence(
        turned(q) { theta[$0] }, turned(map("k_proj").map(silu)) { theta[$0] }, v
      ) { exp(-slopes[$1 / (2 * d)]) }
      mixed = zip(mixed.map(rms), map("g_proj")).map(times)
    case .hgrn2:
      // Layer 0: the lower bound is 0.
      let forget = map("f_proj").map(sigmoid)
      mixed = recurrence(q, forget.map { $0.map { 1 - $0 } }, v) { forget[$0][$1] }
      mixed = mixed.map { times(rms($0), w("o_norm.weight")[0]) }
    default:
      let k = map("k_proj").map(silu)
      if family == .tnl {
        mixed = recurrence(q, k, v) { exp(-slopes[$1 / d]) }
      } else {
        let angle = { (channel: Int) -> Double in
          channel % d < d / 2 ? pow(10000, -2 * Double(channel % d) / Double(d)) : 0
        }
        mixed = recurrence(turned(q, angle: angle), turned(k, angle: angle), v) { _, _ in 1 }
      }
      let gate = x.map {
        sigmoid(product(product($0, w("g_proj.0.weight")), w("g_proj.1.weight")))
      }
      mixed = zip(mixed, gate).map(times).map { row in
        (0..<Self.heads).flatMap { head in
          times(rms(Array(row[head * d..<(head + 1) * d])), w("o_norm.weight")[0])
        }
      }
    }
    return mixed.map { product($0, w("o_proj.weight")) }
  }

  /// Random rows, what a mixer with random parameters makes of them, and the parameters.
  ///
  /// - Parameter others: Parameters of the model that the mixer uses too.
  private func passed(
    through configuration: LinearMixerConfiguration, also others: [ParameterShape] = [],
    in context: Context
  ) throws -> (input: [Double], output: [Double], parameters: [Parameter]) {
    let shapes = configuration.parameterShapes(prefix: "m", hidden: Self.hidden) + others
    let parameters = shapes.enumerated().map { index, shape in
      Parameter(shape.name, context.randomTensor(shape.shape, .f64, seed: UInt64(index + 1)))
    }
    let mixer = try configuration.mixer(
      prefix: "m", epsilon: 1e-5, parameters: parameters, in: context)
    let x = context.randomTensor([Self.tokens, Self.hidden], .f64, seed: 40)
    let ones = context.tensor([Double](repeating: 1, count: Self.hidden), [Self.hidden])
    let output = mixer(
      x, norm: RMSNorm(weight_D: ones, epsilon: 1e-5), addedTo: x,
      layout: SequenceLayout(documentLengths: [Self.tokens], in: context), state: nil, in: context
    ).output
    return (context.readDoubles(x), context.readDoubles(output), parameters)
  }

  /// Gates of key and of value channels, each row and column of the memory with its own.
  @Test func outerOscillationEqualsItsFormula() throws {
    let context = try Context(device: .cpu(threads: 2))
    let (d, e) = (4, 3)
    let configuration = LinearMixerConfiguration(
      heads: Self.heads, keyDimension: d, valueDimension: e, decay: .outer(temperature: 16))
    let (flat, found, parameters) = try passed(through: configuration, in: context)
    var state = [Double](repeating: 0, count: Self.heads * d * e)
    var expected: [Double] = []
    for t in 0..<Self.tokens {
      let row = Array(flat[t * Self.hidden..<(t + 1) * Self.hidden])
      func map(_ name: String) -> [Double] {
        product(rms(row), rows(context, "\(name).weight", parameters))
      }
      let (q, k, v) = (map("q_proj"), map("k_proj"), map("v_proj"))
      let gates = sigmoid(map("f_proj")).map { pow($0, 1.0 / 16) }
      let valueGates = sigmoid(map("f_value_proj")).map { pow($0, 1.0 / 16) }
      var mixed = [Double](repeating: 0, count: Self.heads * e)
      for place in state.indices {
        let (channel, column) = (place / e, place / (d * e) * e + place % e)
        state[place] = gates[channel] * valueGates[column] * state[place] + k[channel] * v[column]
        mixed[column] += q[channel] * state[place]
      }
      let output = product(mixed, rows(context, "o_proj.weight", parameters))
      expected += zip(row, output).map { $0 + $1 }
    }
    #expect(relativeError(found, expected) < 1e-12)
  }

  /// Mamba's memory: a step per token and value channel, in the decay and in what enters.
  @Test func selectiveDecayEqualsItsFormula() throws {
    let context = try Context(device: .cpu(threads: 2))
    let (d, e) = (4, 3)
    let configuration = LinearMixerConfiguration(
      heads: Self.heads, keyDimension: d, valueDimension: e, decay: .selective)
    let (flat, found, parameters) = try passed(through: configuration, in: context)
    func values(_ name: String) -> [Double] { rows(context, name, parameters).flatMap { $0 } }
    let rates = values("log_rate").map { exp($0) }
    var state = [Double](repeating: 0, count: Self.heads * d * e)
    var expected: [Double] = []
    for t in 0..<Self.tokens {
      let row = Array(flat[t * Self.hidden..<(t + 1) * Self.hidden])
      func map(_ name: String) -> [Double] {
        product(rms(row), rows(context, "\(name).weight", parameters))
      }
      let (q, k, v) = (map("q_proj"), map("k_proj"), map("v_proj"))
      let steps = zip(map("step_proj"), values("step_proj.bias")).map { log1p(exp($0 + $1)) }
      var mixed = [Double](repeating: 0, count: Self.heads * e)
      for place in state.indices {
        let (channel, column) = (place / e, place / (d * e) * e + place % e)
        state[place] *= exp(-steps[column] * rates[place])
        state[place] += k[channel] * steps[column] * v[column]
        mixed[column] += q[channel] * state[place]
      }
      let output = product(mixed, rows(context, "o_proj.weight", parameters))
      expected += zip(row, output).map { $0 + $1 }
    }
    #expect(relativeError(found, expected) < 1e-12)
  }

  /// Gated DeltaNet: a token takes the place of what the decayed memory held for its key.
  @Test func theDeltaRuleEqualsItsFormula() throws {
    let context = try Context(device: .cpu(threads: 2))
    let (d, e) = (4, 3)
    let configuration = LinearMixerConfiguration(
      heads: Self.heads, keyDimension: d, valueDimension: e, decay: .headGate(temperature: 16),
      update: .delta, queryMap: .elementwise(.silu), keyMap: .elementwise(.silu),
      valueMap: .elementwise(.silu), queryKeyL2Norm: true, scale: 0.5, outputNorm: .perHead,
      gate: .init(activation: .silu))
    let (flat, found, parameters) = try passed(through: configuration, in: context)
    func unit(_ x: [Double]) -> [Double] {
      let length = (x.reduce(0) { $0 + $1 * $1 } + 1e-6).squareRoot()
      return x.map { $0 / length }
    }
    var states = [[[Double]]](
      repeating: [[Double]](repeating: [Double](repeating: 0, count: e), count: d),
      count: Self.heads)
    var expected: [Double] = []
    for t in 0..<Self.tokens {
      let row = Array(flat[t * Self.hidden..<(t + 1) * Self.hidden])
      func map(_ name: String) -> [Double] {
        product(rms(row), rows(context, "\(name).weight", parameters))
      }
      let (queries, keys, values) = (
        silu(map("q_proj")), silu(map("k_proj")), silu(map("v_proj"))
      )
      let (decays, betas) = (sigmoid(map("f_proj")).map { pow($0, 1.0 / 16) }, map("b_proj"))
      var mixed: [Double] = []
      for head in 0..<Self.heads {
        let q = unit(Array(queries[head * d..<(head + 1) * d]))
        let k = unit(Array(keys[head * d..<(head + 1) * d]))
        let v = Array(values[head * e..<(head + 1) * e])
        let beta = sigmoid([betas[head]])[0]
        let decayed = states[head].map { $0.map { $0 * decays[head] } }
        func read(_ x: [Double], _ state: [[Double]]) -> [Double] {
          (0..<e).map { column in (0..<d).reduce(0) { $0 + x[$1] * state[$1][column] } }
        }
        let held = read(k, decayed)
        states[head] = (0..<d).map { c in
          (0..<e).map { decayed[c][$0] + k[c] * beta * (v[$0] - held[$0]) }
        }
        mixed += times(
          rms(read(q, states[head]).map { 0.5 * $0 }), rows(context, "o_norm.weight", parameters)[0]
        )
      }
      let output = product(
        times(mixed, silu(map("g_proj"))), rows(context, "o_proj.weight", parameters))
      expected += zip(row, output).map { $0 + $1 }
    }
    #expect(relativeError(found, expected) < 1e-12)
  }

  @Test(arguments: [ModelFamily.tnl, .transnormer, .hgrn2, .cosformer2])
  func aFamilyEqualsItsFormulas(family: ModelFamily) throws {
    let context = try Context(device: .cpu(threads: 2))
    let configuration = try #require(
      family.mixer(
        heads: Self.heads, dimension: Self.dimension, layer: Self.layer, layers: Self.layers))
    let bounds = ParameterShape(
      name: ParameterName.lowerBounds, shape: [Self.layers, Self.hidden])
    let (flat, found, parameters) = try passed(
      through: configuration, also: family == .hgrn2 ? [bounds] : [], in: context)
    let input = (0..<Self.tokens).map { Array(flat[$0 * Self.hidden..<($0 + 1) * Self.hidden]) }
    let output = expected(family, input.map(rms)) { rows(context, $0, parameters) }
    let residual = zip(input, output).flatMap { zip($0, $1).map { $0 + $1 } }
    #expect(relativeError(found, residual) < 1e-12)
  }
}
