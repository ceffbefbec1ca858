import Formats
import Numerics

/// A normal distribution.
public struct NormalDistribution: Equatable, Sendable {
  /// The mean.
  public var mean: Double
  /// The standard deviation.
  public var deviation: Double

  /// A distribution from its mean and deviation.
  public init(mean: Double, deviation: Double) {
    self.mean = mean
    self.deviation = deviation
  }

  /// The distribution with the mean and the deviation of stored elements.
  init(of elements: UnsafeRawBufferPointer, _ type: ElementType) {
    let count = elements.count * 8 / type.bitWidth
    guard count > 0 else {
      self.init(mean: 0, deviation: 0)
      return
    }
    // Distances from the first element keep their digits when the mean is far from zero.
    var (first, sum, squares) = (0.0, 0.0, 0.0)
    StoredElements.forEachBlock(of: elements, type) { start, values in
      if start == 0 { first = Double(values[0]) }
      for value in values {
        let distance = Double(value) - first
        sum += distance
        squares += distance * distance
      }
    }
    let mean = sum / Double(count)
    self.init(
      mean: first + mean,
      deviation: max(0, squares / Double(count) - mean * mean).squareRoot())
  }
}

/// Draws some neurons of an expert anew, as Drop-Upcycling does (Nakamura et al. 2025, section 3):
/// which ones, and their weights, follow from the seed, the layer and the expert.
struct NeuronRedraw {
  let seed: UInt64
  let layer: Int

  /// What a stream of random numbers is for; the projections follow.
  private static let choice: UInt64 = 0

  private func random(expert: Int, _ part: UInt64) -> RandomStream {
    RandomStream(
      seed: seed,
      purpose: (UInt64(expert) << 2 | part) << 40 | UInt64(layer) << 8
        | RandomPurpose.redraw.rawValue)
  }

  /// `count` of `width` neurons, ascending.
  func neurons(_ count: Int, of width: Int, expert: Int) -> [Int32] {
    var neurons = (0..<Int32(width)).map { $0 }
    var random = self.random(expert: expert, Self.choice)
    // The first `count` places of a permutation (Fisher and Yates).
    for index in 0..<min(count, width) {
      neurons.swapAt(index, index + random.index(below: width - index))
    }
    return neurons.prefix(count).sorted()
  }

  /// The distribution of the weights that `neurons` have in a dense matrix of `width` neurons.
  static func normal(
    of neurons: [Int32], _ projection: Projection, in dense: UnsafeRawBufferPointer, width: Int,
    hidden: Int, _ type: ElementType
  ) -> NormalDistribution {
    let size = type.bitWidth / 8
    let count = neurons.count * hidden * size
    let part = ByteBuffer(count)
    NeuronGather.gather(
      neurons, of: projection, width: width, hidden: hidden, elementSize: size, from: dense,
      into: part.slice(0..<count))
    return NormalDistribution(of: UnsafeRawBufferPointer(part.slice(0..<count)), type)
  }

  /// Draws `neurons` of an expert's matrix of `width` neurons anew.
  /// - Returns: Whether all new values are finite.
  func apply(
    to neurons: [Int32], _ projection: Projection, expert: Int, from normal: NormalDistribution,
    in matrix: UnsafeMutableRawBufferPointer, width: Int, hidden: Int, _ type: ElementType
  ) -> Bool {
    let size = type.bitWidth / 8
    let count = neurons.count * hidden * size
    let part = ByteBuffer(count)
    let isFinite = draw(
      projection, expert: expert, from: normal, type, into: part.slice(0..<count))
    NeuronGather.scatter(
      neurons, of: projection, width: width, hidden: hidden, elementSize: size,
      from: UnsafeRawBufferPointer(part.slice(0..<count)), into: matrix)
    return isFinite
  }

  /// Fills `part`, the redrawn neurons' piece of a matrix, row after row.
  /// - Returns: Whether all values are finite.
  private func draw(
    _ projection: Projection, expert: Int, from normal: NormalDistribution, _ type: ElementType,
    into part: UnsafeMutableRawBufferPointer
  ) -> Bool {
    let number: UInt64 =
      switch projection {
      case .gate: 1
      case .up: 2
      case .down: 3
      }
    var random = self.random(expert: expert, number)
    let (size, block) = (type.bitWidth / 8, 4096)
    let count = part.count / size
    var values = [Float](repeating: 0, count: min(block, count))
    for start in stride(from: 0, to: count, by: block) {
      let range = start..<min(count, start + block)
      for index in 0..<range.count {
        values[index] = Float(normal.mean + normal.deviation * random.standardNormal())
      }
      values.withUnsafeBufferPointer {
        StoredElements.narrow(
          UnsafeBufferPointer(rebasing: $0[..<range.count]), to: type,
          into: UnsafeMutableRawBufferPointer(
            rebasing: part[range.lowerBound * size..<range.upperBound * size]))
      }
    }
    return StoredElements.areFinite(UnsafeRawBufferPointer(part), type)
  }
}
