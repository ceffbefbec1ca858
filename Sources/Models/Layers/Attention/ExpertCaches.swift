import Numerics

/// Keys and values per expert, of the tokens routed to it only.
///
/// How many tokens went to each expert is read back from the device: once per layer and step.
final class ExpertCaches: MixerState {
  /// Tokens seen, whether an expert has them or not.
  private var length = 0
  private var caches: [KeyValueCache]
  /// The positions of each expert's tokens, ascending.
  private var positions: [[Int32]]

  init(_ caches: [KeyValueCache]) {
    self.caches = caches
    positions = caches.map { _ in [] }
  }

  /// Adds the rows of new tokens and lets them attend to their experts' tokens up to themselves.
  ///
  /// - Parameter packed: Queries `[P, groupHeads · d]`, keys and values `[P, d]`, by expert.
  /// - Returns: `[P, groupHeads · d]`.
  func attend(
    _ packed: AttentionInput, _ dispatch: ExpertDispatch, topK: Int, groupHeads: Int,
    _ attention: AttentionConfiguration, in context: Context
  ) -> Tensor {
    let offsets = context.readIntegers(dispatch.offsets).map(Int.init)
    let tokens = context.readIntegers(dispatch.order).map { Int32(length) + $0 / Int32(topK) }
    let mixed_PW = context.empty(packed.query.shape, packed.query.dtype)
    for (expert, cache) in caches.enumerated() {
      let rows = offsets[expert]..<offsets[expert + 1]
      guard !rows.isEmpty else { continue }
      let before = cache.length
      let all = cache.extended(by: rows.count, in: context)
      context.copy(packed.key.slice(rows), into: all.key.slice(before..<cache.length))
      context.copy(packed.value.slice(rows), into: all.value.slice(before..<cache.length))
      positions[expert] += tokens[rows]
      let output = context.attention(
        query: packed.query.slice(rows), key: all.key, value: all.value, heads: groupHeads,
        keyHeads: 1, scale: attention.scale,
        documentStarts: starts(expert, tokens[rows], window: attention.window, in: context),
        queryOffset: before)
      context.copy(output, into: mixed_PW.slice(rows))
    }
    length += (offsets.last ?? 0) / topK
    return mixed_PW
  }

  /// A window counts tokens of the text, not those of the expert.
  private func starts(
    _ expert: Int, _ tokens: ArraySlice<Int32>, window: Int?, in context: Context
  ) -> Tensor? {
    guard let window else { return nil }
    let starts = tokens.map { token in
      Int32(positions[expert].firstIndex { Int($0) > Int(token) - window } ?? 0)
    }
    return context.tensor(starts, [starts.count])
  }

  func fork(in context: Context) -> any MixerState {
    let copy = ExpertCaches(caches.compactMap { $0.fork(in: context) as? KeyValueCache })
    copy.length = length
    copy.positions = positions
    return copy
  }

  func tensors(in context: Context) -> [(name: String, tensor: Tensor)] {
    var result = [(name: "length", tensor: context.tensor([Int32(length)], [1]))]
    for (expert, cache) in caches.enumerated() {
      result += cache.tensors(in: context).map { ("\($0.name).\(expert)", $0.tensor) }
      let places = positions[expert]
      result.append(("positions.\(expert)", context.tensor(places, [places.count])))
    }
    return result
  }

  func restore(_ tensors: [(name: String, tensor: Tensor)], in context: Context) {
    precondition(tensors.count == 1 + 3 * caches.count, "\(tensors.count) tensors")
    length = Int(context.readIntegers(tensors[0].tensor)[0])
    for (expert, cache) in caches.enumerated() {
      let own = Array(tensors[1 + 3 * expert..<4 + 3 * expert])
      cache.restore(Array(own[..<2]), in: context)
      positions[expert] = context.readIntegers(own[2].tensor)
    }
  }
}
