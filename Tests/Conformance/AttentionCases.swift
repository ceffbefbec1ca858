import Numerics

extension ConformanceCase {
  /// No tokens over a cache: nothing pulls at its keys and values, which still have gradients.
  static let nothingNew = ConformanceCase("attention T0 over 5 keys") { trial in
    let context = trial.context
    let (query, head) = (trial.activation([0, 64]), trial.matrix([3, 64]))
    let (key, value) = (trial.activation([5, 64]), trial.activation([5, 64]))
    context.recording {
      let y = context.attention(
        query: query.tensor, key: key.tensor, value: value.tensor, heads: 1, keyHeads: 1, scale: 1,
        queryOffset: 5)
      return context.linearCrossEntropy(
        y, weight: head.value, targets: context.tensor([Int32](), [0]),
        lossWeights: context.tensor([Double](), [0], trial.small)
      ).total
    }
    for (name, parameter) in [("d key", key), ("d value", value)] {
      let isThere: Int32 = parameter.gradient == nil ? 0 : 1
      trial.note("\(name) is there", context.tensor([isThere], [1]))
      if let gradient = parameter.gradient { trial.note(name, gradient, exact: true) }
    }
  }

  /// Attention over head dims, grouped heads, packed documents, cached keys and windows.
  static let attention: [ConformanceCase] = {
    struct Size: Sendable {
      var t: Int
      var dim: Int
      var heads = 2
      var keyHeads = 1
      var documents: [Int]? = nil
      var offset = 0
      var window: Int? = nil
    }
    var sizes = [1, 63, 65].flatMap { t in
      [32, 64, 80, 96, 128, 192, 256].map { Size(t: t, dim: $0) }
    }
    sizes += [
      Size(t: 5, dim: 1), Size(t: 70, dim: 33, heads: 3, keyHeads: 3),
      Size(t: 200, dim: 64, heads: 4, keyHeads: 2, documents: [1, 63, 64, 65, 7]),
      Size(t: 300, dim: 32, heads: 8, keyHeads: 2, documents: [150, 150]),
      Size(t: 130, dim: 64, window: 17), Size(t: 257, dim: 128, heads: 4, keyHeads: 4),
      Size(t: 70, dim: 64, offset: 130), Size(t: 1, dim: 64, heads: 8, keyHeads: 2, offset: 999),
      Size(t: 3, dim: 128, heads: 4, keyHeads: 1, offset: 300),
      Size(t: 200, dim: 64, documents: [120, 80], window: 50),
      // Long enough that blocks of few multiprocessors take several pieces of work.
      Size(t: 700, dim: 64, heads: 4, keyHeads: 2, documents: [300, 1, 399]),
      Size(t: 700, dim: 128),
      // Keys of several tiles, heads that share them, queries that see few.
      Size(t: 700, dim: 128, heads: 4, keyHeads: 2, documents: [300, 1, 399]),
      Size(t: 400, dim: 96, window: 50), Size(t: 150, dim: 128, offset: 330, window: 200),
      Size(t: 260, dim: 104, heads: 3, documents: [130, 130], window: 100),
    ]
    return sizes.map { size in
      let name =
        "attention T\(size.t) d\(size.dim) h\(size.heads):\(size.keyHeads) "
        + "docs \(size.documents ?? []) offset \(size.offset) window \(size.window ?? 0)"
      return ConformanceCase(name) { trial in
        let context = trial.context
        let query = trial.activation([size.t, size.heads * size.dim])
        let rows = size.t + size.offset
        let key = trial.activation([rows, size.keyHeads * size.dim])
        let value = trial.activation([rows, size.keyHeads * size.dim])
        let starts = size.documents.map { lengths in
          var starts: [Int32] = []
          for length in lengths {
            starts += [Int32](repeating: Int32(starts.count), count: length)
          }
          return context.tensor(starts, [starts.count])
        }
        trial.differentiate {
          [
            (
              "y",
              context.attention(
                query: query.tensor, key: key.tensor, value: value.tensor, heads: size.heads,
                keyHeads: size.keyHeads, scale: 1 / Double(size.dim).squareRoot(),
                documentStarts: starts, queryOffset: size.offset, window: size.window)
            )
          ]
        }
      }
    }
  }()
}
