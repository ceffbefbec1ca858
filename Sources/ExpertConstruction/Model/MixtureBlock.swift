import Models
import Numerics

/// The MLP of one converted layer: its sizes, and how its experts are chosen and combined. A pruned
/// MLP has none, so its rule, scale and router say nothing.
public struct MixtureBlock: Equatable, Sendable {
  /// How the neurons are divided.
  public var geometry: SplitGeometry
  /// How chosen experts are combined; shared units always enter with weight one.
  public var rule: CombinationRule
  /// The factor on the routed experts' softmax weights; 1 for `gained`.
  public var scale: Double
  /// Whether the router has a bias.
  public var hasRouterBias: Bool
  /// Whether there is a bias that only chooses experts, as balancing trains it.
  public var hasSelectionBias: Bool
  /// How the router scores experts.
  public var routerKind: RouterKind
  /// The router's rows per expert.
  public var routerRank: Int
  /// Choices after a token's first are dropped where their score is below this; `nil` keeps all. A
  /// plan has 0 where the value is still to be calibrated.
  public var scoreThreshold: Double?
  /// Whether a bias is added to the layer's output.
  public var hasOutputBias: Bool

  /// A block from its parts.
  public init(
    geometry: SplitGeometry, rule: CombinationRule, scale: Double, hasRouterBias: Bool,
    hasSelectionBias: Bool = false, routerKind: RouterKind = .linear, routerRank: Int = 1,
    scoreThreshold: Double? = nil,
    hasOutputBias: Bool = false
  ) {
    self.geometry = geometry
    self.rule = rule
    self.scale = scale
    self.hasRouterBias = hasRouterBias
    self.hasSelectionBias = hasSelectionBias
    self.routerKind = routerKind
    self.routerRank = routerRank
    self.scoreThreshold = scoreThreshold
    self.hasOutputBias = hasOutputBias
  }

  /// The block as Models describes it.
  var configuration: MixtureConfiguration {
    MixtureConfiguration(
      experts: geometry.experts, topK: geometry.topK, expertWidth: geometry.expertWidth,
      sharedWidth: geometry.sharedWidth, combination: combination, routerKind: routerKind,
      routerRank: routerRank,
      routerBias: hasRouterBias, scoreThreshold: scoreThreshold, selectionBias: hasSelectionBias,
      outputBias: hasOutputBias)
  }

  /// The rule as operations take it.
  var combination: Combination {
    switch rule {
    case .gained: .gained
    case .renormalizedSoftmax: .renormalizedSoftmax(scale: scale)
    case .softmax: .softmax(scale: scale)
    case .sigmoid: .sigmoid(scale: scale)
    case .renormalizedSigmoid: .renormalizedSigmoid(scale: scale)
    }
  }
}

/// One matrix of a SwiGLU MLP.
public enum Projection: String, CaseIterable, Sendable {
  case gate, up, down
}

/// One tensor of a mixture layer, whatever a file format calls it.
public enum MixtureTensor: Hashable, Sendable {
  /// `[E · rank, D]`
  case router
  /// The second rows of pairs, `[E · rank, D]`.
  case routerUp
  /// `[E]`
  case routerBias
  /// The bias that only chooses experts, `[E]`.
  case selectionBias
  /// `u` of the weight `1 + p·u`, `[E]`.
  case routerGain
  /// `[w, D]`, or `[D, w]` for the down projection.
  case expert(Int, Projection)
  /// `[S·w, D]`, or `[D, S·w]` for the down projection.
  case shared(Projection)
  /// What is added to every output, `[D]`.
  case outputBias
  /// The kept neurons of a pruned MLP, `[w', D]`, or `[D, w']` for the down projection.
  case dense(Projection)

  /// The tensors `block` has, experts in order.
  static func all(of block: MixtureBlock) -> [MixtureTensor] {
    if block.geometry.form == .pruned { return Projection.allCases.map { .dense($0) } }
    var tensors: [MixtureTensor] = [.router]
    if [.gatedPair, .lengthPair].contains(block.routerKind) { tensors.append(.routerUp) }
    if block.hasRouterBias { tensors.append(.routerBias) }
    if block.hasSelectionBias { tensors.append(.selectionBias) }
    if block.rule == .gained { tensors.append(.routerGain) }
    for expert in 0..<block.geometry.experts {
      tensors += Projection.allCases.map { .expert(expert, $0) }
    }
    if block.geometry.shared > 0 { tensors += Projection.allCases.map { .shared($0) } }
    if block.hasOutputBias { tensors.append(.outputBias) }
    return tensors
  }

  /// The matrices of `block` in the groups in which they are made and written: all at once, but
  /// copies, each of which is as large as the dense MLP, one after another.
  static func passes(of block: MixtureBlock) -> [[MixtureTensor]] {
    guard block.geometry.form == .copied else { return [all(of: block).filter(\.isMatrix)] }
    return (0..<block.geometry.experts).map { expert in
      Projection.allCases.map { .expert(expert, $0) }
    }
  }

  /// The tensor's shape.
  func shape(in block: MixtureBlock, hidden: Int) -> [Int] {
    let geometry = block.geometry
    func matrix(_ projection: Projection, _ width: Int) -> [Int] {
      projection == .down ? [hidden, width] : [width, hidden]
    }
    switch self {
    case .router, .routerUp: return [geometry.experts * block.routerRank, hidden]
    case .routerBias, .selectionBias, .routerGain: return [geometry.experts]
    case .expert(_, let projection): return matrix(projection, geometry.expertWidth)
    case .shared(let projection): return matrix(projection, geometry.sharedWidth)
    case .outputBias: return [hidden]
    case .dense(let projection): return matrix(projection, geometry.activeWidth)
    }
  }

  /// The dense neurons this tensor holds, and of which matrix; `nil` for the router's tensors.
  func neurons(in split: NeuronSplit) -> (neurons: [Int32], projection: Projection)? {
    switch self {
    case .expert(let expert, let projection): (split.experts[expert], projection)
    case .shared(let projection), .dense(let projection): (split.shared, projection)
    case .router, .routerUp, .routerBias, .selectionBias, .routerGain, .outputBias: nil
    }
  }
}
