import Numerics

/// What makes an attention layer a mixture of experts. An expert is a part of the dense projections,
/// which keep their shapes and places: rows of the query (and key and value) projections with the
/// columns of the output projection that read what they make.
public struct AttentionMixtureConfiguration: Sendable, Equatable {
  /// What an expert is and what it sees.
  public enum Kind: String, CaseIterable, Sendable {
    /// Query heads over keys and values that all share; some heads are always on (MoH).
    case heads
    /// One key head with its query heads. A token attends to tokens of the same expert only
    /// (LLaMA-MoE-v2).
    case keyGroup = "kv-group"
    /// The m-th query head of every key head, over keys and values that all share (JetMoE).
    case moa
  }

  /// What an expert is.
  public var kind: Kind
  /// Routed experts.
  public var experts: Int
  /// Routed experts each token uses.
  public var topK: Int
  /// Query heads that every token uses with weight one, ascending; for ``Kind/heads`` only.
  public var sharedHeads: [Int]
  /// How the chosen experts' outputs are weighted.
  public var combination: Combination
  /// Whether the router's scores have a bias.
  public var routerBias: Bool
  /// Whether a bias used for selection only is kept.
  public var selectionBias: Bool
  /// Factor by which a stock format's conversion multiplied the output projections.
  public var foldedScale: Double

  /// A mixture from its parts.
  public init(
    kind: Kind, experts: Int, topK: Int, sharedHeads: [Int] = [], combination: Combination,
    routerBias: Bool = false, selectionBias: Bool = false, foldedScale: Double = 1
  ) {
    self.kind = kind
    self.experts = experts
    self.topK = topK
    self.sharedHeads = sharedHeads
    self.combination = combination
    self.routerBias = routerBias
    self.selectionBias = selectionBias
    self.foldedScale = foldedScale
  }

  /// Query heads a token uses over all query heads.
  public func activeShare(of heads: Int) -> Double {
    let shared = Double(sharedHeads.count)
    let routed = (Double(heads) - shared) * Double(topK) / Double(experts)
    return (shared + routed) / Double(heads)
  }

  /// The expert of each query head, -1 for shared ones: routed heads are dealt out in ascending
  /// order, runs of equal length to an expert; of `moa`, head after head of each key head.
  public func expertOfHead(_ attention: AttentionConfiguration) -> [Int32] {
    switch kind {
    case .moa:
      let group = attention.heads / attention.keyHeads
      return (0..<attention.heads).map { Int32($0 % group) }
    case .keyGroup:
      return (0..<attention.heads).map { Int32($0 * experts / attention.heads) }
    case .heads:
      let routed = attention.heads - sharedHeads.count
      var result = [Int32](repeating: -1, count: attention.heads)
      let isShared = Set(sharedHeads)
      for (index, head) in (0..<attention.heads).filter({ !isShared.contains($0) }).enumerated() {
        result[head] = Int32(index * experts / routed)
      }
      return result
    }
  }

  /// Why `attention` cannot be such a mixture, and what works; `nil` when it can.
  public func refusal(_ attention: AttentionConfiguration) -> String? {
    let (heads, keyHeads) = (attention.heads, attention.keyHeads)
    guard experts > 0, (1...experts).contains(topK) else {
      return "\(topK) of \(experts) attention experts cannot be chosen"
    }
    switch kind {
    case .heads:
      let isOrdered = zip(sharedHeads, sharedHeads.dropFirst()).allSatisfy { $0 < $1 }
      guard isOrdered, sharedHeads.allSatisfy({ (0..<heads).contains($0) }) else {
        return "shared heads \(sharedHeads) are not ascending numbers below \(heads)"
      }
      let routed = heads - sharedHeads.count
      guard routed > 0, routed % experts == 0 else {
        return "\(routed) routed heads do not divide into \(experts) attention experts"
      }
    case .keyGroup, .moa:
      guard sharedHeads.isEmpty else { return "\(kind.rawValue) has no shared heads" }
      let wanted = kind == .moa ? heads / keyHeads : keyHeads
      guard experts == wanted else {
        return "\(kind.rawValue) makes \(wanted) attention experts of \(heads) query and "
          + "\(keyHeads) key heads, not \(experts)"
      }
    }
    return nil
  }
}
