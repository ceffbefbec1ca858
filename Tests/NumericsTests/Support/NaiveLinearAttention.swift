import Glibc
import Numerics
import TestSupport
import Testing

/// One linear attention problem of the tests, and the recurrence that defines it, in Double.
struct LinearAttentionCase: Sendable, CustomTestStringConvertible {
  enum Decay: String, Sendable, CaseIterable {
    case none, constant, vector
    /// Gates near 0 and near 1.
    case extreme
    /// Gates of key and of value channels.
    case outer
    /// A step per value channel times a rate per key and value channel.
    case elementwise
  }

  var documents: [Int]
  var dim: Int
  var width: Int
  var heads = 1
  var decay = Decay.constant
  var hasState = true
  var scale = 0.37
  var seed: UInt64 = 1

  var tokens: Int { documents.reduce(0, +) }
  var stateShape: [Int] { [documents.count, heads, dim, width] }

  var testDescription: String {
    "documents \(documents) d \(dim) e \(width) heads \(heads) \(decay) state \(hasState) seed \(seed)"
  }

  /// Query, key, value, initial state and, where there is one, the decay's tensor, as `dtype` holds
  /// the values of `f32`.
  func inputs(_ context: Context, _ dtype: DType) -> [Parameter] {
    let shapes = [
      [tokens, heads * dim], [tokens, heads * dim], [tokens, heads * width], stateShape,
    ]
    var parameters = shapes.enumerated().map { index, shape in
      Parameter("\(index)", random(context, shape, dtype, seed: seed * 100 + UInt64(index)) { $0 })
    }
    // A single head is of a different kind from case to case.
    var order = Int(seed % 4) - 1
    switch decay {
    case .none: break
    case .constant:
      parameters.append(
        Parameter(
          "slopes",
          random(context, [heads], dtype, seed: seed * 100 + 5) { x in
            order += 1
            // With published extremes among the slopes.
            return order % 4 == 0 ? 0.917 : order % 4 == 1 ? 1e-5 : order % 4 == 2 ? 0 : x * x
          }))
    case .outer:
      for (index, width) in [dim, width].enumerated() {
        parameters.append(
          Parameter(
            "log-decay \(index)",
            random(context, [tokens, heads * width], dtype, seed: seed * 100 + 8 + UInt64(index)) {
              // Some gates are all but shut.
              $0 < -0.95 ? -60 : -0.3 * $0 * $0
            }))
      }
    case .elementwise:
      parameters.append(
        Parameter(
          "log-rate",
          random(context, [heads, dim, width], dtype, seed: seed * 100 + 10) { 2 * $0 }))
      parameters.append(
        Parameter(
          "step",
          random(context, [tokens, heads * width], dtype, seed: seed * 100 + 11) {
            // Some steps leave all but nothing.
            $0 < -0.95 ? 60 : 0.3 * $0 * $0
          }))
    case .vector:
      parameters.append(
        Parameter(
          "log-decay",
          random(context, [tokens, heads * dim], dtype, seed: seed * 100 + 6) { -0.3 * $0 * $0 }))
    case .extreme:
      parameters.append(
        Parameter(
          "log-decay",
          random(context, [tokens, heads * dim], dtype, seed: seed * 100 + 7) { x in
            x < -0.7 ? -40 : x < -0.6 ? -300 : x < 0 ? 0 : -1e-6 * x
          }))
    }
    return parameters
  }

  private func random(
    _ context: Context, _ shape: [Int], _ dtype: DType, seed: UInt64, _ change: (Double) -> Double
  ) -> Tensor {
    let values = context.readDoubles(context.randomTensor(shape, .f32, seed: seed)).map {
      Double(Float(change($0)))
    }
    return context.tensor(values, shape, dtype)
  }

  func offsets(_ context: Context) -> Tensor? {
    SequenceLayout(documentLengths: documents, in: context).documentOffsets
  }

  /// The decay of all tokens, or of some rows.
  func decay(_ inputs: [Tensor], _ rows: Range<Int>? = nil) -> LinearAttentionDecay {
    func cut(_ tensor: Tensor) -> Tensor { rows.map { tensor.slice($0) } ?? tensor }
    switch decay {
    case .none: return .none
    case .constant: return .constant(slopes_H: inputs[4])
    case .vector, .extreme: return .vector(logDecay_TC: cut(inputs[4]))
    case .outer:
      return .outer(logDecay_TC: cut(inputs[4]), valueLogDecay_TE: cut(inputs[5]))
    case .elementwise: return .elementwise(step_TE: cut(inputs[5]), logRate_KE: inputs[4])
    }
  }

  func attention(_ context: Context, _ inputs: [Parameter]) -> (output: Tensor, finalState: Tensor)
  {
    context.linearAttention(
      query: inputs[0].tensor, key: inputs[1].tensor, value: inputs[2].tensor, heads: heads,
      scale: scale, decay: decay(inputs.map(\.tensor)), documentOffsets: offsets(context),
      initialState: hasState ? inputs[3].tensor : nil)
  }

  /// Output and final state as probes give them gradients, for loss `Σ w·o + Σ w·S`.
  func loss(_ context: Context, _ inputs: [Parameter]) -> Tensor {
    let (output, state) = attention(context, inputs)
    return context.weightedSum([
      (1, context.probe(output)), (1, context.probe(state, seed: 98)),
    ])
  }

  /// Output, final state and, with gradients of both, those of query, key, value, initial state and
  /// decay, token by token.
  func naive(_ inputs: [[Double]], dOutput: [Double], dFinal: [Double]) -> [[Double]] {
    let (d, e) = (dim, width)
    var output = [Double](repeating: 0, count: tokens * heads * e)
    var final = [Double](repeating: 0, count: stateShape.reduce(1, *))
    var gradients = inputs.map { [Double](repeating: 0, count: $0.count) }
    var start = 0
    for (document, length) in documents.enumerated() {
      for head in 0..<heads {
        let base = (document * heads + head) * d * e
        func logLeft(_ t: Int, _ c: Int, _ x: Int) -> Double {
          switch decay {
          case .none: 0
          case .constant: -inputs[4][head]
          case .vector, .extreme: inputs[4][(t * heads + head) * d + c]
          case .outer:
            inputs[4][(t * heads + head) * d + c] + inputs[5][(t * heads + head) * e + x]
          case .elementwise:
            -inputs[5][(t * heads + head) * e + x] * exp(inputs[4][(head * d + c) * e + x])
          }
        }
        var state = [Double](repeating: 0, count: d * e)
        if hasState { for i in 0..<d * e { state[i] = inputs[3][base + i] } }
        var states = [state]
        for t in start..<start + length {
          let (row, column) = ((t * heads + head) * d, (t * heads + head) * e)
          for c in 0..<d {
            let (k, q) = (inputs[1][row + c], scale * inputs[0][row + c])
            for x in 0..<e {
              let left = exp(logLeft(t, c, x))
              let s = left * state[c * e + x] + k * inputs[2][column + x]
              state[c * e + x] = s
              output[column + x] += q * s
            }
          }
          states.append(state)
        }
        for i in 0..<d * e { final[base + i] = state[i] }
        var pull = (0..<d * e).map { dFinal[base + $0] }
        for t in (start..<start + length).reversed() {
          let (row, column) = ((t * heads + head) * d, (t * heads + head) * e)
          let (now, before) = (states[t - start + 1], states[t - start])
          for c in 0..<d {
            let (k, q) = (inputs[1][row + c], scale * inputs[0][row + c])
            var (dq, dk, dg) = (0.0, 0.0, 0.0)
            for x in 0..<e {
              let i = c * e + x
              let dy = dOutput[column + x]
              let p = pull[i] + q * dy
              dq += scale * dy * now[i]
              dk += p * inputs[2][column + x]
              let log = logLeft(t, c, x)
              let decayed = p * exp(log) * before[i]
              dg += decayed
              if decay == .outer { gradients[5][column + x] += decayed }
              if decay == .elementwise {
                let rate = (head * d + c) * e + x
                gradients[4][rate] += decayed * log
                gradients[5][column + x] -= decayed * exp(inputs[4][rate])
              }
              gradients[2][column + x] += p * k
              pull[i] = exp(log) * p
            }
            gradients[0][row + c] += dq
            gradients[1][row + c] += dk
            switch decay {
            case .none, .elementwise: break
            case .constant: gradients[4][head] -= dg
            case .vector, .extreme, .outer: gradients[4][row + c] += dg
            }
          }
        }
        if hasState { for i in 0..<d * e { gradients[3][base + i] = pull[i] } }
      }
      start += length
    }
    return [output, final] + gradients
  }
}

extension Context {
  /// Output, final state and the gradients that probes of both give the parameters.
  func probedResults(
    of parameters: [Parameter],
    _ body: ([Parameter]) -> (output: Tensor, finalState: Tensor)
  ) -> [[Double]] {
    for parameter in parameters { parameter.isTrainable = true }
    var outputs: [[Double]] = []
    recording {
      let (output, state) = body(parameters)
      outputs = [readDoubles(output), readDoubles(state)]
      return weightedSum([(1, probe(output)), (1, probe(state, seed: 98))])
    }
    return outputs
      + parameters.map { parameter in
        parameter.gradient.map(readDoubles)
          ?? [Double](repeating: 0, count: parameter.value.count)
      }
  }
}
