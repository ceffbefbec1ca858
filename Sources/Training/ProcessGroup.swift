import Numerics

/// The processes that train one model together, each on its own sequences of every step.
public protocol ProcessGroup {
  /// This process, `0 ..< size`.
  var rank: Int { get }
  /// Number of processes.
  var size: Int { get }
  /// Replaces each tensor, in place, by its sum over the processes. Enqueued; does not wait.
  func allReduce(_ tensors: [Tensor], in context: Context) throws
  /// Replaces each value by its sum over the processes.
  func allReduce(_ values: inout [Double]) throws
}

/// The group of one process: sums are what they are.
public struct SingleProcess: ProcessGroup {
  public let rank = 0
  public let size = 1

  /// A group of this process alone.
  public init() {}

  public func allReduce(_ tensors: [Tensor], in context: Context) {}
  public func allReduce(_ values: inout [Double]) {}
}

extension ProcessGroup {
  /// This process's part of a step's sequences.
  func sequences(of count: Int) -> Range<Int> {
    count * rank / size..<count * (rank + 1) / size
  }
}
