import Data
import Models
import Numerics

/// What a step's passes leave behind to be read: tensors are kept until the step is enqueued whole,
/// then read at once.
struct StepRecord {
  private struct Pass {
    let batch: Batch
    let share: Double
    let result: Objective.Result
    let total: Tensor

    /// What is read back, in the order in which it is taken.
    var tensors: [Tensor] {
      [total, result.crossEntropy_T] + [result.divergence_T].compactMap { $0 }
        + result.terms.map(\.value) + result.counts.map(\.counts_E)
    }
  }

  private var passes: [Pass] = []

  /// Keeps the results of one pass; `total` is its part of the step's loss.
  mutating func add(_ batch: Batch, share: Double, result: Objective.Result, total: Tensor) {
    passes.append(Pass(batch: batch, share: share, result: result, total: total))
  }

  /// Sums over the passes of a step, and over the processes of a group.
  struct Sums {
    var loss = 0.0
    /// The norm of the step's gradients, the same in every process.
    var gradientNorm = 0.0
    /// Cross-entropy and number of loss tokens of each domain.
    var domains: [(loss: Double, tokens: Double)]
    var divergence: Double?
    var terms: [(name: String, value: Double)] = []
    var counts: [(layer: Int, part: BlockPart, counts: [Double])] = []
  }

  /// Reads everything back, in one transfer. Waits for the step.
  func read(
    domains: Int, gradientNorm: Tensor, group: any ProcessGroup, in context: Context
  ) throws -> Sums {
    var values = context.readDoubles([gradientNorm] + passes.flatMap(\.tensors)).makeIterator()
    func take() -> [Double] { values.next() ?? [] }
    var sums = Sums(domains: Array(repeating: (0, 0), count: domains))
    sums.gradientNorm = take()[0]
    for pass in passes {
      sums.loss += take()[0]
      addTokenLosses(
        of: pass, crossEntropy: take(), divergence: pass.result.divergence_T.map { _ in take() },
        to: &sums)
      for (index, term) in pass.result.terms.enumerated() {
        if index == sums.terms.count { sums.terms.append((term.name, 0)) }
        sums.terms[index].value += take()[0] * pass.share
      }
      for (index, layer) in pass.result.counts.enumerated() {
        let counts = take()
        if index == sums.counts.count {
          sums.counts.append((layer.layer, layer.part, counts))
        } else {
          sums.counts[index].counts = zip(sums.counts[index].counts, counts).map { $0 + $1 }
        }
      }
    }
    try sums.reduce(over: group)
    return sums
  }

  private func addTokenLosses(
    of pass: Pass, crossEntropy losses: [Double], divergence: [Double]?, to sums: inout Sums
  ) {
    let length = pass.batch.sequenceLength
    for (sequence, domain) in pass.batch.domains.enumerated() {
      for token in sequence * length..<(sequence + 1) * length {
        let weight = Double(pass.batch.lossWeights[token])
        sums.domains[domain].loss += weight * losses[token]
        sums.domains[domain].tokens += weight
      }
    }
    guard let divergence else { return }
    let sum = zip(divergence, pass.batch.lossWeights).reduce(0) { $0 + $1.0 * Double($1.1) }
    sums.divergence = (sums.divergence ?? 0) + sum
  }
}

extension StepRecord.Sums {
  /// Sums every number over the group, in one exchange.
  mutating func reduce(over group: any ProcessGroup) throws {
    guard group.size > 1 else { return }
    var values = [loss, divergence ?? 0]
    values += domains.flatMap { [$0.loss, $0.tokens] } + terms.map(\.value)
    values += counts.flatMap(\.counts)
    try group.allReduce(&values)
    var next = values.makeIterator()
    func take() -> Double { next.next() ?? 0 }
    loss = take()
    let reduced = take()
    if divergence != nil { divergence = reduced }
    for index in domains.indices { domains[index] = (take(), take()) }
    for index in terms.indices { terms[index].value = take() }
    for index in counts.indices { counts[index].counts = counts[index].counts.map { _ in take() } }
  }

  /// Loss tokens of the step.
  var lossTokens: Double { domains.reduce(0) { $0 + $1.tokens } }

  /// The terms under their metric names, those of the language model first.
  var namedTerms: [StepMetrics.Term] {
    let tokens = max(1, lossTokens)
    let crossEntropy = domains.reduce(0) { $0 + $1.loss } / tokens
    var named = [StepMetrics.Term(name: "cross_entropy", value: crossEntropy)]
    if let divergence {
      named.append(StepMetrics.Term(name: "distillation", value: divergence / tokens))
    }
    return named + terms.map { StepMetrics.Term(name: $0.name, value: $0.value) }
  }

  /// Means per domain; files of one domain count together.
  func domainLosses(_ names: [String]) -> [StepMetrics.DomainLoss] {
    var result: [StepMetrics.DomainLoss] = []
    for name in names where !result.contains(where: { $0.domain == name }) {
      let own = zip(names, domains).filter { $0.0 == name }.map(\.1)
      let tokens = own.reduce(0) { $0 + $1.tokens }
      guard tokens > 0 else { continue }
      let loss = own.reduce(0) { $0 + $1.loss } / tokens
      result.append(StepMetrics.DomainLoss(domain: name, loss: loss, tokens: Int(tokens)))
    }
    return result
  }

  /// The layers' loads.
  var expertLoads: [ExpertLoad] {
    counts.map {
      ExpertLoad(layer: $0.layer, part: $0.part, counts: $0.counts.map { Int($0) })
    }
  }
}
