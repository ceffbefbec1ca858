import Formats
import Models
import Numerics
import TestSupport
import Testing

@Suite struct GenerationTests {
  private func model(_ example: Example, in context: Context) throws -> LanguageModel {
    let folder = TemporaryFolder()
    try example.write(to: folder.path)
    return try ModelLoader(
      layout: example.layout(), checkpoint: Checkpoint(folder: folder.path)
    ).model(in: context)
  }

  @Test(arguments: Example.allCases)
  func prefillAndDecodeEqualTheFullPass(example: Example) throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(example, in: context)
    let tokens: [Int32] = [7, 3, 11, 30, 2, 2, 19, 5, 8, 1]
    let full = context.readDoubles(model.logits(tokens, in: context))
    let generator = TextGenerator(model, capacity: 2, in: context)
    _ = generator.read(Array(tokens[..<4]))
    for position in 4..<tokens.count {
      let scores = context.read(generator.read([tokens[position]]))
      let expected = Array(full[position * 40..<(position + 1) * 40])
      #expect(relativeError(scores, expected) < 1e-5, "position \(position)")
    }
  }

  @Test(arguments: Example.allCases)
  func greedyTokensAreThoseOfTheFullPass(example: Example) throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(example, in: context)
    var sampler = Sampler()
    let generator = TextGenerator(model, capacity: 3, in: context)
    var (text, unread): ([Int32], [Int32]) = ([7, 3, 11, 30, 2], [7, 3, 11, 30, 2])
    for _ in 0..<8 {
      let next = try #require(generator.next(after: unread, &sampler))
      let scores = context.read(model.logits(text, in: context)).suffix(40)
      #expect(scores.max() == scores[scores.startIndex + Int(next)])
      text.append(next)
      unread = [next]
    }
    #expect(generator.position == text.count - 1)
  }

  @Test func scoresThatAreNotFiniteGiveNoToken() throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(.llama, in: context)
    model.finalNorm.value = context.tensor([Float](repeating: .nan, count: 16), [16])
    var (greedy, sampling) = (Sampler(), Sampler(temperature: 1))
    #expect(TextGenerator(model, in: context).next(after: [1, 2], &greedy) == nil)
    #expect(TextGenerator(model, in: context).next(after: [1, 2], &sampling) == nil)
  }

  @Test func aForkContinuesOnItsOwn() throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(.llama, in: context)
    let generator = TextGenerator(model, in: context)
    _ = generator.read([1, 2, 3])
    let fork = generator.fork()
    _ = generator.read([4])
    let expected = context.read(generator.read([6]))
    _ = fork.read([4])
    #expect(context.read(fork.read([6])) == expected)
    #expect(fork.position == 5)
  }

  @Test func documentsOfOnePackDoNotSeeEachOther() throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(.herd, in: context)
    let (first, second): ([Int32], [Int32]) = ([5, 6, 7, 8], [9, 10, 11])
    let packed = model(
      context.tensor(first + second, [7]),
      layout: SequenceLayout(documentLengths: [4, 3], in: context), in: context)
    let alone = model(
      context.tensor(second, [3]), layout: SequenceLayout(count: 3, in: context), in: context)
    let tail = context.read(packed.hidden_TD.slice(4..<7))
    #expect(relativeError(tail, context.readDoubles(alone.hidden_TD)) < 1e-6)
  }

  @Test func checkpointedBlocksGiveTheSameGradients() throws {
    let context = try Context(device: .cpu(threads: 1))
    let model = try model(.herd, in: context)
    for parameter in model.parameters { parameter.isTrainable = true }
    func gradients(checkpointing: Bool) -> [[Double]] {
      for parameter in model.parameters { parameter.gradient = nil }
      context.recording {
        let output = model(
          context.tensor([1, 2, 3, 4, 5], [5]), layout: SequenceLayout(count: 5, in: context),
          checkpointing: checkpointing, in: context)
        let loss = context.linearCrossEntropy(
          output.hidden_TD, weight: model.head.tensor,
          targets: context.tensor([2, 3, 4, 5, 6], [5]),
          lossWeights: context.tensor([Float](repeating: 0.2, count: 5), [5]))
        let balance = output.routings.map {
          context.loadBalanceLoss($0.routing, experts: 3, topK: 2)
        }
        return context.weightedSum([(1, loss.total)] + balance.map { (0.1, $0) })
      }
      return model.parameters.map { $0.gradient.map(context.readDoubles) ?? [] }
    }
    #expect(gradients(checkpointing: false) == gradients(checkpointing: true))
  }
}
