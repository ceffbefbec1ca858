/// Deals sample indices out to domains in fixed shares.
///
/// Every block of 1024 samples holds each domain in exact proportion to its weight (largest
/// remainder), spread evenly with a random phase per block, so any batch is close to the shares and
/// the number of earlier samples of a domain has a closed form. Blocks are counted from the first
/// sample that the shares hold for.
struct Mixture: Sendable {
  static let blockSize = 1024

  /// Samples per block of each domain; they sum to `blockSize`.
  let quotas: [Int]
  /// The shares, and where they begin.
  let shares: MixtureShares
  private let generator: CounterGenerator

  /// - Parameter shares: of positive and finite weights, at most `blockSize` of them.
  init(_ shares: MixtureShares, generator: CounterGenerator) {
    self.shares = shares
    let weights = shares.weights
    let largest = weights.max() ?? 1
    // Scaled first, so that the sum of huge weights stays finite.
    let scaled = weights.map { $0 / largest }
    let total = scaled.reduce(0, +)
    // One sample each, so that no domain is left out; the rest by weight.
    let shared = Double(Self.blockSize - weights.count)
    let exact = scaled.map { max(0, $0 / total * Double(Self.blockSize) - 1) }
    let exactTotal = max(exact.reduce(0, +), 1e-300)
    let parts = exact.map { $0 / exactTotal * shared }
    var quotas = parts.map { 1 + Int($0) }
    let byRemainder = parts.indices.sorted {
      let (a, b) = (parts[$0] - Double(Int(parts[$0])), parts[$1] - Double(Int(parts[$1])))
      return a != b ? a > b : $0 < $1
    }
    for index in 0..<max(0, Self.blockSize - quotas.reduce(0, +)) {
      quotas[byRemainder[index % quotas.count]] += 1
    }
    self.quotas = quotas
    self.generator = generator
  }

  /// The domain of a sample, and how many samples of that domain come before it.
  typealias Assignment = (domain: Int, ordinal: Int)

  /// The assignments of a range of sample indices, none before the shares' first.
  func assignments(_ samples: Range<Int>) -> [Assignment] {
    let first = shares.firstSample
    precondition(samples.lowerBound >= first, "samples of earlier shares")
    return dealt(samples.lowerBound - first..<samples.upperBound - first)
  }

  /// Samples of each domain before `sample`, which is not before the shares' first.
  func drawn(before sample: Int) -> [Int] {
    let own = sample - shares.firstSample
    precondition(own >= 0, "samples of earlier shares")
    let whole = own / Self.blockSize
    var counts = zip(shares.drawn, quotas).map { $0 + whole * $1 }
    for (domain, _) in dealt(whole * Self.blockSize..<own) { counts[domain] += 1 }
    return counts
  }

  /// The same with samples counted from the shares' first.
  private func dealt(_ samples: Range<Int>) -> [Assignment] {
    var result: [Assignment] = []
    result.reserveCapacity(samples.count)
    var next = samples.lowerBound
    while next < samples.upperBound {
      let block = next / Self.blockSize
      let start = block * Self.blockSize
      let order = order(ofBlock: block)
      let upper = min(samples.upperBound, start + Self.blockSize)
      result += order[(next - start)..<(upper - start)]
      next = upper
    }
    return result
  }

  private func order(ofBlock block: Int) -> [Assignment] {
    var places: [(place: Double, domain: Int, count: Int)] = []
    places.reserveCapacity(Self.blockSize)
    for (domain, quota) in quotas.enumerated() {
      let phase = generator.unit(
        stream: RandomUse.mixture.stream(domain), index: UInt64(shares.firstSample + block))
      for count in 0..<quota {
        places.append(((Double(count) + phase) / Double(quota), domain, count))
      }
    }
    places.sort { $0.place != $1.place ? $0.place < $1.place : $0.domain < $1.domain }
    return places.map {
      ($0.domain, shares.drawn[$0.domain] + block * quotas[$0.domain] + $0.count)
    }
  }
}

/// What random numbers are drawn for; each use has its own streams of the generator.
enum RandomUse: UInt64 {
  case mixture = 1
  case windowStart
  case packingOrder
  case epochOrder

  /// The stream of this use for one domain (and part).
  func stream(_ domain: Int, part: Int = 0) -> UInt64 {
    rawValue << 56 | UInt64(domain) << 40 | UInt64(part) & 0xFF_FFFF_FFFF
  }
}
