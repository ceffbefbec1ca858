import TestSupport
import Testing

@testable import Data

@Suite struct TrainingSamplerTests {
  /// A stream in which every token's id is its index, so that batches can be traced back.
  private func stream(_ domain: String, lengths: [Int]) -> TokenStream {
    var stream = TokenStream(domain: domain)
    for length in lengths {
      let start = Int32(stream.ids.count)
      stream.append(
        ids: Array(start..<start + Int32(length)),
        lossMask: (0..<length).map { UInt8($0 % 3 == 1 ? 1 : 0) })
    }
    return stream
  }

  private func lengths(seed: UInt64, count: Int, longest: Int) -> [Int] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Int.random(in: 1...longest, using: &random) }
  }

  private func sampler(
    _ mode: TrainingSampler.Mode, seed: UInt64 = 1, length: Int = 16, batch: Int = 8
  ) throws -> TrainingSampler {
    try TrainingSampler(
      [
        (stream("a", lengths: lengths(seed: 1, count: 40, longest: 50)), 2),
        (stream("b", lengths: lengths(seed: 2, count: 30, longest: 9)), 1),
        (stream("c", lengths: lengths(seed: 3, count: 20, longest: 30)), 1),
      ], mode: mode, sequenceLength: length, batchSize: batch, seed: seed, padding: -1)
  }

  /// In one epoch every token is an input exactly once and, but for the first of a document, a
  /// target exactly once, with the weight of its mask.
  @Test(arguments: [1, 2, 7, 16, 64])
  func epochsAreComplete(length: Int) throws {
    let stream = stream("a", lengths: lengths(seed: 7, count: 60, longest: 40))
    let sampler = try TrainingSampler(
      [(stream, 1)], mode: .documents, sequenceLength: length, batchSize: 1, seed: 3, padding: -1)
    let count = try #require(sampler.sequencesPerEpoch(ofStream: 0))
    let starts = Set(stream.documentStarts.map(Int32.init))
    var orders: [[Int32]] = []
    for epoch in 0..<2 {
      var inputs: [Int32] = []
      var targets: [Int32] = []
      for step in epoch * count..<(epoch + 1) * count {
        let batch = sampler.batch(step: step)
        check(batch, against: [stream])
        inputs += batch.tokens.filter { $0 >= 0 }
        targets += batch.targets.filter { $0 >= 0 }
      }
      #expect(inputs.sorted() == stream.ids)
      #expect(targets.sorted() == stream.ids.filter { !starts.contains($0) })
      orders.append(inputs)
    }
    #expect(orders[0] != orders[1])
  }

  /// Inputs, targets, weights, positions and attention limits belong together.
  private func check(_ batch: Batch, against streams: [TokenStream]) {
    let length = batch.sequenceLength
    #expect(batch.tokens.count == length * batch.sequenceCount)
    for (index, token) in batch.tokens.enumerated() {
      let first = Int(batch.documentStarts[index])
      #expect(first >= index / length * length && first <= index)
      #expect(Int(batch.positions[index]) == index - first)
      let target = batch.targets[index]
      guard token >= 0, target >= 0 else {
        #expect(batch.lossWeights[index] == 0 && batch.followedMask[index] == 0)
        continue
      }
      let stream = streams[batch.domains[index / length]]
      #expect(target == token + 1)
      #expect(batch.lossWeights[index] == Float(stream.lossMask[Int(target)]))
      #expect(batch.followedMask[index] == 1)
      // Everything visible is of the same document and in order.
      #expect(batch.tokens[first] == token - Int32(index - first))
      let document = stream.documentStarts.last { $0 <= Int(token) } ?? 0
      #expect(Int(batch.tokens[first]) >= document)
    }
  }

  /// Short documents are not cut, and little is padding.
  @Test func packsTightly() throws {
    let stream = stream("a", lengths: lengths(seed: 5, count: 800, longest: 60))
    let generator = CounterGenerator(seed: 1)
    let order = IndexPermutation(count: 800, generator: generator, stream: 0)
    let plan = PackingPlan(stream, length: 64, order: order)
    let pieces = plan.sequences.flatMap { $0 }
    #expect(pieces.count == 800)
    #expect(pieces.allSatisfy { stream.documentStarts.contains($0.range.lowerBound) })
    let places = plan.sequences.count * 64
    let density = Double(stream.ids.count) / Double(places)
    #expect(density > 0.95)
  }

  @Test func windowsFollowTheStream() throws {
    let sampler = try sampler(.windows)
    var starts: Set<Int32> = []
    for step in 0..<20 {
      let batch = sampler.batch(step: step)
      for sequence in 0..<batch.sequenceCount {
        let stream = sampler.streams[batch.domains[sequence]]
        let range = sequence * 16..<sequence * 16 + 16
        let first = batch.tokens[range.lowerBound]
        starts.insert(first)
        #expect(batch.tokens[range].elementsEqual(first..<first + 16))
        #expect(batch.targets[range].elementsEqual(first + 1..<first + 17))
        #expect(
          batch.lossWeights[range].elementsEqual(
            stream.lossMask[Int(first) + 1..<Int(first) + 17].map(Float.init)))
        #expect(batch.positions[range].elementsEqual(0..<16))
        #expect(batch.documentStarts[range].allSatisfy { $0 == Int32(range.lowerBound) })
      }
    }
    #expect(starts.count > 50)
  }

  /// Both ends of a stream can be reached and nothing behind them.
  @Test func windowsReachBothEnds() throws {
    let stream = stream("a", lengths: [19])
    let sampler = try TrainingSampler(
      [(stream, 1)], mode: .windows, sequenceLength: 16, batchSize: 64, seed: 2)
    let batch = sampler.batch(step: 0)
    let starts = Set(stride(from: 0, to: batch.tokens.count, by: 16).map { batch.tokens[$0] })
    #expect(starts == [0, 1, 2])
  }

  @Test(arguments: TrainingSampler.Mode.allCases)
  func isDeterministic(mode: TrainingSampler.Mode) throws {
    let first = try sampler(mode)
    let second = try sampler(mode)
    for step in [0, 1, 7, 500, 130, 3] {
      let batch = first.batch(step: step)
      #expect(batch == second.batch(step: step))
      // Workers draw parts of the same batch.
      let parts = [0..<3, 3..<8].map { first.batch(step: step, sequences: $0) }
      #expect(parts.flatMap(\.tokens) == batch.tokens)
      #expect(parts.flatMap(\.domains) == batch.domains)
    }
    #expect(try sampler(mode, seed: 2).batch(step: 0) != first.batch(step: 0))
    #expect(first.batch(step: 0) != first.batch(step: 1))
  }

  /// Sample g is the same whatever the batch size it is drawn in.
  @Test func samplesDoNotDependOnBatchSize() throws {
    let small = try sampler(.windows, batch: 4)
    let large = try sampler(.windows, batch: 8)
    let halves = small.batch(step: 2).tokens + small.batch(step: 3).tokens
    #expect(halves == large.batch(step: 1).tokens)
  }

  private func mixture(_ weights: [Double], drawn: [Int]? = nil) -> Mixture {
    Mixture(
      MixtureShares(weights: weights, drawn: drawn), generator: CounterGenerator(seed: 1))
  }

  @Test func mixtureHasItsShares() {
    let mixture = self.mixture([2, 1, 1])
    #expect(mixture.quotas == [512, 256, 256])
    var counts = [0, 0, 0]
    for (domain, ordinal) in mixture.assignments(0..<3000) {
      #expect(ordinal == counts[domain])
      counts[domain] += 1
    }
    for start in stride(from: 0, to: 2000, by: 64) {
      let part = mixture.assignments(start..<start + 64)
      #expect(abs(part.count { $0.domain == 0 } - 32) <= 2)
    }
    let uneven = self.mixture([1e9, 1e-9, 1e300])
    #expect(uneven.quotas.reduce(0, +) == 1024 && uneven.quotas.allSatisfy { $0 >= 1 })
    let many = self.mixture([Double](repeating: 0.1, count: 1024))
    #expect(many.quotas == [Int](repeating: 1, count: 1024))
  }

  /// Counts of what was drawn are those of the assignments, wherever they are asked for.
  @Test(arguments: [0, 1, 700, 1024, 1025, 5000])
  func drawnSamplesAreCounted(_ count: Int) {
    let mixture = self.mixture([5, 2, 1], drawn: [7, 0, 30])
    var counts = [7, 0, 30]
    for (domain, ordinal) in mixture.assignments(37..<37 + count) {
      #expect(ordinal == counts[domain])
      counts[domain] += 1
    }
    #expect(mixture.drawn(before: 37 + count) == counts)
  }

  /// Other shares from a step on: each domain goes on where it was, and what is drawn follows from the
  /// shares alone.
  @Test(arguments: [TrainingSampler.Mode.documents, .windows])
  func reweightedDomainsGoOn(_ mode: TrainingSampler.Mode) throws {
    let plain = try sampler(mode)
    let moved = plain.reweighted([1, 8, 1], fromStep: 5).reweighted([3, 1, 6], fromStep: 45)
    #expect(moved.shares.firstSample == 45 * 8)
    #expect(moved.shares.weights == [3, 1, 6])
    let early = plain.reweighted([1, 8, 1], fromStep: 5)
    let shares = (5..<45).flatMap { early.batch(step: $0).domains }
    #expect(abs(shares.count { $0 == 1 } - 8 * 32) <= 3, "\(shares.count { $0 == 1 })")
    for domain in 0..<3 {
      let before = (0..<5).flatMap { plain.batch(step: $0).domains }.count { $0 == domain }
      #expect(early.shares.drawn[domain] == before)
      #expect(moved.shares.drawn[domain] == before + shares.count { $0 == domain })
    }
    // Another process, told the shares only.
    let again = try sampler(mode).dealing(moved.shares)
    #expect(again.batch(step: 60) == moved.batch(step: 60))
    #expect(moved.batch(step: 60) != plain.batch(step: 60))
    // Sequences of a domain are drawn once each: the packed ones of the first epoch are all different.
    guard mode == .documents else { return }
    let epoch = try #require(plain.sequencesPerEpoch(ofStream: 0))
    var seen: [[Int32]] = []
    for step in 0..<60 {
      let source = step < 5 ? plain : step < 45 ? early : moved
      let batch = source.batch(step: step)
      for (sequence, domain) in batch.domains.enumerated() where domain == 0 {
        seen.append(Array(batch.tokens[sequence * 16..<sequence * 16 + 16]))
      }
    }
    #expect(seen.count > epoch)
    #expect(Set(seen.prefix(epoch)).count == epoch)
  }

  @Test func refusesWhatCannotBeDrawn() throws {
    let good = stream("a", lengths: [30])
    var silent = TokenStream(domain: "s")
    silent.append(ids: Array(repeating: 1, count: 30), lossMask: Array(repeating: 0, count: 30))
    func make(_ streams: [(TokenStream, Double)], length: Int = 16, batch: Int = 1) throws {
      _ = try TrainingSampler(
        streams.map { (stream: $0.0, weight: $0.1) }, mode: .windows, sequenceLength: length,
        batchSize: batch, seed: 0)
    }
    #expect(throws: SamplerError.streamCount(0)) { try make([]) }
    #expect(throws: SamplerError.self) { try make([(good, 0)]) }
    #expect(throws: SamplerError.self) { try make([(good, .nan)]) }
    #expect(throws: SamplerError.self) { try make([(good, 1)], length: 30) }
    #expect(throws: SamplerError.self) { try make([(good, 1)], length: 0) }
    #expect(throws: SamplerError.self) { try make([(good, 1)], batch: 0) }
    #expect(throws: SamplerError.nothingToLearn(domain: "s")) { try make([(silent, 1)]) }
    try make([(good, 1)], length: 29)
  }
}
