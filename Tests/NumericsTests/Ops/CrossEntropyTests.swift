import Glibc
import Numerics
import TestSupport
import Testing

@Suite struct CrossEntropyTests {
  /// Targets spread over the vocabulary; the third, if any, lies outside it.
  private func targets(_ tokens: Int, _ vocabulary: Int) -> [Int32] {
    (0..<tokens).map { $0 == 2 ? -100 : Int32(($0 * 7 + 3) % vocabulary) }
  }

  @Test(arguments: [(1, 3, 2), (5, 7, 11), (261, 3, 17)])
  func gradientsAgreeWithCentralDifferences(tokens: Int, width: Int, vocabulary: Int) throws {
    let context = try Context()
    let x = Parameter("x", context.randomTensor([tokens, width], .f64, seed: 1))
    let head = Parameter("head", context.randomTensor([vocabulary, width], .f64, seed: 2))
    let weights = context.randomTensor([tokens], .f64, seed: 3)
    let ids = context.tensor(targets(tokens, vocabulary), [tokens])
    let teacher = (
      hidden: context.randomTensor([tokens, 4], .f64, seed: 4),
      weight: context.randomTensor([vocabulary, 4], .f64, seed: 5)
    )
    let plain = gradientDisagreement(context, [x, head]) { context in
      context.linearCrossEntropy(
        x.tensor, weight: head.tensor, targets: ids, lossWeights: weights
      ).total
    }
    #expect(plain < 1e-7)
    let mixed = gradientDisagreement(context, [x, head]) { context in
      let loss = context.linearCrossEntropy(
        x.tensor, weight: head.tensor, targets: ids, lossWeights: weights,
        distillationWeights: context.randomTensor([tokens], .f64, seed: 6), teacher: teacher,
        crossEntropy: 0.3, distillation: 1.7)
      return context.weightedSum([(0.5, loss.total)])
    }
    #expect(mixed < 1e-7)
  }

  @Test func valuesFollowTheDefinition() throws {
    let context = try Context()
    let (tokens, width, vocabulary) = (300, 5, 9)
    let x = context.randomTensor([tokens, width], .f64, seed: 6)
    let head = context.randomTensor([vocabulary, width], .f64, seed: 7)
    let other = context.randomTensor([vocabulary, width], .f64, seed: 8)
    let weights = context.randomTensor([tokens], .f64, seed: 9)
    let followed = context.randomTensor([tokens], .f64, seed: 10)
    let ids = targets(tokens, vocabulary)
    let loss = context.linearCrossEntropy(
      x, weight: head, targets: context.tensor(ids, [tokens]), lossWeights: weights,
      distillationWeights: followed, teacher: (x, other), crossEntropy: 0.25, distillation: 2)
    let statistics = context.tokenStatistics(
      x, weight: head, targets: context.tensor(ids, [tokens]), teacher: (x, other))

    let student = logProbabilities(context, context.linear(x, weight: head))
    let teacher = logProbabilities(context, context.linear(x, weight: other))
    var (ce, kl, total) = ([Double](), [Double](), 0.0)
    var (agreement, correct) = ([Double](), [Double]())
    let pairs = zip(context.readDoubles(weights), context.readDoubles(followed))
    for (t, (w, v)) in pairs.enumerated() {
      ce.append(ids[t] < 0 ? 0 : -student[t][Int(ids[t])])
      kl.append(zip(teacher[t], student[t]).reduce(0) { $0 + Glibc.exp($1.0) * ($1.0 - $1.1) })
      total += 0.25 * w * ce[t] + 2 * v * kl[t]
      let best = student[t].firstIndex(of: student[t].max() ?? 0)
      agreement.append(best == teacher[t].firstIndex(of: teacher[t].max() ?? 0) ? 1 : 0)
      correct.append(best == Int(ids[t]) ? 1 : 0)
    }
    #expect(relativeError(context.readDoubles(loss.crossEntropy_T), ce) < 1e-12)
    #expect(relativeError(loss.divergence_T.map(context.readDoubles) ?? [], kl) < 1e-12)
    #expect(abs(context.readScalar(loss.total) - total) < 1e-9)
    #expect(relativeError(context.readDoubles(statistics.crossEntropy_T), ce) < 1e-12)
    #expect(relativeError(statistics.divergence_T.map(context.readDoubles) ?? [], kl) < 1e-12)
    #expect(statistics.agreement_T.map(context.readDoubles) == agreement)
    #expect(context.readDoubles(statistics.correct_T) == correct)
    #expect(correct.contains(1) && correct.contains(0) && agreement.contains(1))
  }

  private func logProbabilities(_ context: Context, _ logits_TV: Tensor) -> [[Double]] {
    let logits = context.readDoubles(logits_TV)
    return stride(from: 0, to: logits.count, by: logits_TV.columns).map { start in
      let row = logits[start..<start + logits_TV.columns]
      let total = Glibc.log(row.reduce(0) { $0 + Glibc.exp($1) })
      return row.map { $0 - total }
    }
  }

  @Test(arguments: [(1, 16, 40), (7, 33, 1500), (300, 24, 130)])
  func everyInstructionSetAgreesWithDouble(tokens: Int, width: Int, vocabulary: Int) throws {
    for (name, context) in try cpuVariants() {
      let ids = context.tensor(targets(tokens, vocabulary), [tokens])
      func run(_ dtype: DType) -> [[Double]] {
        let x = Parameter("x", context.randomTensor([tokens, width], dtype, seed: 10))
        let head = Parameter("head", context.randomTensor([vocabulary, width], dtype, seed: 11))
        let teacher = (
          hidden: context.randomTensor([tokens, width], dtype, seed: 12),
          weight: context.randomTensor([vocabulary, width], dtype, seed: 13)
        )
        x.isTrainable = true
        head.isTrainable = true
        var values: [[Double]] = []
        context.recording {
          let loss = context.linearCrossEntropy(
            x.tensor, weight: head.tensor, targets: ids,
            lossWeights: context.randomTensor([tokens], dtype, seed: 14), teacher: teacher,
            crossEntropy: 1, distillation: 0.5)
          values = [loss.total, loss.crossEntropy_T, loss.divergence_T ?? loss.total]
            .map(context.readDoubles)
          return loss.total
        }
        return values + [x, head].map { $0.gradient.map(context.readDoubles) ?? [] }
      }
      for (single, reference) in zip(run(.f32), run(.f64)) {
        #expect(relativeError(single, reference) < 3e-6, "\(name)")
      }
    }
  }

  @Test func sixteenBitHeadsServeTeachersAndInference() throws {
    let context = try Context()
    let x = context.randomTensor([9, 32], .f32, seed: 15)
    let half = context.cast(context.randomTensor([50, 32], .f32, seed: 16), to: .bf16)
    let ids = context.tensor(targets(9, 50), [9])
    let a = context.tokenStatistics(x, weight: half, targets: ids, teacher: (x, half))
    let b = context.tokenStatistics(x, weight: context.cast(half, to: .f32), targets: ids)
    #expect(
      relativeError(context.read(a.crossEntropy_T), context.readDoubles(b.crossEntropy_T)) < 1e-6)
    #expect(context.read(a.divergence_T ?? x).allSatisfy { abs($0) < 1e-6 })
    #expect(context.read(a.agreement_T ?? x).allSatisfy { $0 == 1 })
  }

  @Test func logitsOfAnySizeStayFinite() throws {
    let context = try Context()
    let x = Parameter("x", context.tensor([Float(1)], [1, 1]), isTrainable: true)
    let head = context.tensor([Float](arrayLiteral: 3e4, -3e4, 2.9e4), [3, 1])
    let loss = context.recording {
      context.linearCrossEntropy(
        x.tensor, weight: head, targets: context.tensor([Int32(1)], [1]),
        lossWeights: context.tensor([Float(1)], [1])
      ).total
    }
    #expect(context.readScalar(loss) == 6e4)
    #expect(x.gradient.map(context.read) == [6e4])
  }

  @Test func repeatsBitForBit() throws {
    let context = try Context()
    func run() -> [[Float]] {
      let x = Parameter("x", context.randomTensor([520, 40], .f32, seed: 17), isTrainable: true)
      let head = Parameter("h", context.randomTensor([600, 40], .f32, seed: 18), isTrainable: true)
      let ids = context.tensor(targets(520, 600), [520])
      context.recording {
        context.linearCrossEntropy(
          x.tensor, weight: head.tensor, targets: ids,
          lossWeights: context.tensor([Float](repeating: 1, count: 520), [520])
        ).total
      }
      return [x, head].map { $0.gradient.map(context.read) ?? [] }
    }
    #expect(run() == run())
  }
}
