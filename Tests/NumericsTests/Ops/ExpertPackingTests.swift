import Numerics
import TestSupport
import Testing

@Suite struct ExpertPackingTests {
  /// Tokens, experts, channels of a part, top-k.
  private static let sizes = [(1, 1, 1, 1), (5, 3, 4, 2), (63, 4, 7, 1), (65, 6, 8, 6)]

  private func routed(
    _ tokens: Int, _ experts: Int, _ topK: Int, _ dtype: DType, in context: Context
  ) -> (routing: Routing, dispatch: ExpertDispatch) {
    let routing = context.route(
      context.randomTensor([tokens, experts], dtype, seed: 8), topK: topK,
      combination: .uniform(weight: 1))
    return (routing, context.dispatch(routing, experts: experts))
  }

  @Test(arguments: sizes)
  func gradientsAgreeWithCentralDifferences(tokens: Int, experts: Int, width: Int, topK: Int) throws
  {
    let context = try Context()
    let (routing, dispatch) = routed(tokens, experts, topK, .f64, in: context)
    let x = Parameter("x", context.randomTensor([tokens, experts * width], .f64, seed: 1))
    let p = Parameter("p", context.randomTensor([tokens * topK, width], .f64, seed: 2))
    let packing = gradientDisagreement(context, [x]) { context in
      context.probe(context.packExperts(x.tensor, routing, dispatch))
    }
    let unpacking = gradientDisagreement(context, [p]) { context in
      context.probe(context.unpackExperts(p.tensor, routing, dispatch))
    }
    #expect(packing < 1e-7 && unpacking < 1e-7)
  }

  @Test(arguments: sizes)
  func unpackingUndoesPacking(tokens: Int, experts: Int, width: Int, topK: Int) throws {
    let context = try Context()
    let (routing, dispatch) = routed(tokens, experts, topK, .f32, in: context)
    let x = context.randomTensor([tokens, experts * width], .f32, seed: 5)
    let back = context.read(
      context.unpackExperts(context.packExperts(x, routing, dispatch), routing, dispatch))
    let chosen = context.readIntegers(routing.experts_TK)
    let expected = context.read(x).enumerated().map { index, value in
      let (token, expert) = (index / (experts * width), Int32(index / width % experts))
      return chosen[token * topK..<(token + 1) * topK].contains(expert) ? value : 0
    }
    #expect(back == expected)
  }

  @Test(arguments: [nil, 1, 3, 40])
  func startsAreTheFirstTokenOfDocumentAndWindow(window: Int?) throws {
    let context = try Context()
    let (tokens, experts, topK) = (65, 4, 2)
    let (routing, dispatch) = routed(tokens, experts, topK, .f32, in: context)
    let layout = SequenceLayout(documentLengths: [1, 30, 0, 34], in: context)
    let starts = context.readIntegers(
      context.packedStarts(layout, routing, dispatch, window: window))
    let order = context.readIntegers(dispatch.order).map(Int.init)
    let chosen = context.readIntegers(routing.experts_TK)
    let documents = context.readIntegers(layout.documentStarts_T)
    for (position, slot) in order.enumerated() {
      let token = slot / topK
      let first = max(Int(documents[token]), window.map { token - $0 + 1 } ?? 0)
      let expected = order.firstIndex {
        chosen[$0] == chosen[slot] && $0 / topK >= first
      }
      #expect(starts[position] == Int32(expected ?? -1), "position \(position)")
    }
  }

  @Test func noTokensGiveNoRows() throws {
    let context = try Context()
    let (routing, dispatch) = routed(0, 3, 2, .f32, in: context)
    let packed = context.packExperts(context.zeros([0, 12]), routing, dispatch)
    #expect(packed.shape == [0, 4])
    #expect(context.unpackExperts(packed, routing, dispatch).shape == [0, 12])
  }
}
