import Glibc
import Numerics
import TestSupport
import Testing

/// One problem of the delta rule, and the recurrence that defines it, in Double.
struct DeltaRuleCase: Sendable, CustomTestStringConvertible {
  /// Sizes, decay and the operands that linear attention has too.
  var attention: LinearAttentionCase

  static let decays = LinearAttentionCase.Decay.allCases.filter {
    $0 != .outer && $0 != .elementwise
  }

  var testDescription: String { attention.testDescription }
  var tokens: Int { attention.tokens }
  var heads: Int { attention.heads }

  /// Query, key, value, initial state, the decay's tensor where there is one and, last, beta. Most keys
  /// are shorter than 1.
  func inputs(_ context: Context, _ dtype: DType) -> [Parameter] {
    var parameters = attention.inputs(context, dtype)
    func changed(_ name: String, _ tensor: Tensor, _ change: (Double) -> Double) -> Parameter {
      let values = context.readDoubles(tensor).map { Double(Float(change($0))) }
      return Parameter(name, context.tensor(values, tensor.shape, dtype))
    }
    let size = Double(attention.dim).squareRoot()
    parameters[1] = changed("1", parameters[1].value) { $0 / size }
    let beta = context.randomTensor([tokens, heads], .f32, seed: attention.seed * 100 + 20)
    parameters.append(changed("beta", beta) { abs($0) })
    return parameters
  }

  func run(_ context: Context, _ inputs: [Parameter]) -> (output: Tensor, finalState: Tensor) {
    context.deltaRule(
      query: inputs[0].tensor, key: inputs[1].tensor, value: inputs[2].tensor,
      beta: inputs[inputs.count - 1].tensor, heads: heads, scale: attention.scale,
      decay: attention.decay(inputs.map(\.tensor)), documentOffsets: attention.offsets(context),
      initialState: attention.hasState ? inputs[3].tensor : nil)
  }

  /// Output and final state as probes give them gradients.
  func loss(_ context: Context, _ inputs: [Parameter]) -> Tensor {
    let (output, state) = run(context, inputs)
    return context.weightedSum([
      (1, context.probe(output)), (1, context.probe(state, seed: 98)),
    ])
  }

  /// Output, final state and the gradients of all inputs, token by token.
  func naive(_ inputs: [[Double]], dOutput: [Double], dFinal: [Double]) -> [[Double]] {
    let (d, e) = (attention.dim, attention.width)
    let last = inputs.count - 1
    var output = [Double](repeating: 0, count: tokens * heads * e)
    var final = [Double](repeating: 0, count: attention.stateShape.reduce(1, *))
    var gradients = inputs.map { [Double](repeating: 0, count: $0.count) }
    var start = 0
    for (document, length) in attention.documents.enumerated() {
      for head in 0..<heads {
        let base = (document * heads + head) * d * e
        func factor(_ t: Int, _ c: Int) -> Double {
          switch attention.decay {
          case .none, .outer, .elementwise: 1
          case .constant: exp(-inputs[4][head])
          case .vector, .extreme: exp(inputs[4][(t * heads + head) * d + c])
          }
        }
        var state = [Double](repeating: 0, count: d * e)
        if attention.hasState { for i in 0..<d * e { state[i] = inputs[3][base + i] } }
        var (decayed, after, rests) = ([[Double]](), [[Double]](), [[Double]]())
        for t in start..<start + length {
          let (row, column) = ((t * heads + head) * d, (t * heads + head) * e)
          let beta = inputs[last][t * heads + head]
          for i in 0..<d * e { state[i] *= factor(t, i / e) }
          decayed.append(state)
          let rest = (0..<e).map { x in
            inputs[2][column + x]
              - (0..<d).reduce(0) { $0 + inputs[1][row + $1] * state[$1 * e + x] }
          }
          rests.append(rest)
          for i in 0..<d * e { state[i] += inputs[1][row + i / e] * beta * rest[i % e] }
          after.append(state)
          for i in 0..<d * e {
            output[column + i % e] += attention.scale * inputs[0][row + i / e] * state[i]
          }
        }
        for i in 0..<d * e { final[base + i] = state[i] }
        var pull = (0..<d * e).map { dFinal[base + $0] }
        for t in (start..<start + length).reversed() {
          let (row, column) = ((t * heads + head) * d, (t * heads + head) * e)
          let (before, now, rest) = (decayed[t - start], after[t - start], rests[t - start])
          let beta = inputs[last][t * heads + head]
          for i in 0..<d * e {
            let dy = attention.scale * dOutput[column + i % e]
            gradients[0][row + i / e] += dy * now[i]
            pull[i] += dy * inputs[0][row + i / e]
          }
          var dUpdate = [Double](repeating: 0, count: e)
          for i in 0..<d * e { dUpdate[i % e] += inputs[1][row + i / e] * pull[i] }
          for x in 0..<e {
            gradients[2][column + x] += beta * dUpdate[x]
            gradients[last][t * heads + head] += dUpdate[x] * rest[x]
          }
          for i in 0..<d * e {
            let (c, x) = (i / e, i % e)
            gradients[1][row + c] += beta * (pull[i] * rest[x] - before[i] * dUpdate[x])
            pull[i] -= inputs[1][row + c] * beta * dUpdate[x]
            let dg = pull[i] * before[i]
            switch attention.decay {
            case .none, .outer, .elementwise: break
            case .constant: gradients[4][head] -= dg
            case .vector, .extreme: gradients[4][row + c] += dg
            }
            pull[i] *= factor(t, c)
          }
        }
        if attention.hasState { for i in 0..<d * e { gradients[3][base + i] = pull[i] } }
      }
      start += length
    }
    return [output, final] + gradients
  }
}
