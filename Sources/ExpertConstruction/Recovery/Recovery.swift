import Models
import Numerics

/// A training-free correction of one layer's mixture, made from the calibration text while the model
/// is converted: experts under their own router against the dense MLP they come from.
///
/// It rewrites the down projection that the experts are cut from, so neurons keep their places, and
/// may add a bias to the layer's output.
public protocol Recovery: Sendable {
  /// Whether it adds a bias to the layer's output.
  var addsBias: Bool { get }
  /// Why layers cut like this cannot be corrected so; `nil` when they can.
  func refusal(of geometry: SplitGeometry) -> String?
  /// What the layer becomes.
  func recover(_ layer: RoutedLayer) throws -> RecoveredLayer
}

extension Recovery {
  public func refusal(of geometry: SplitGeometry) -> String? { nil }
}

/// The parts of a layer that a recovery decides.
public struct RecoveredLayer: Sendable {
  /// The down projection in the dense order of neurons, `[D, I]` row-major.
  public var down_DI: [Float]
  /// Added to every output, `[D]`; `nil` for none.
  public var bias_D: [Float]?

  /// A layer from its parts.
  public init(down_DI: [Float], bias_D: [Float]? = nil) {
    self.down_DI = down_DI
    self.bias_D = bias_D
  }
}

/// The recoveries by the names users give them.
public enum RecoveryName: String, CaseIterable, Sendable {
  case none, scale, affine, align
  case refitShared = "refit-shared"
  case refit

  /// The recovery of this name with its standard settings; `nil` for none.
  public func make() -> (any Recovery)? {
    switch self {
    case .none: nil
    case .scale: ScaleRecovery()
    case .affine: AffineRecovery()
    case .align: AlignRecovery()
    case .refitShared: RefitRecovery(sharedOnly: true)
    case .refit: RefitRecovery(sharedOnly: false)
    }
  }
}
