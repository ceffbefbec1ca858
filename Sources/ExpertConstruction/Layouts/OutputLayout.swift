import Formats

/// How a mixture model is spelled on disk: names, shapes, scales and configuration.
///
/// Converting and exporting use the same layouts. Everything outside the MLPs keeps its LLaMA name.
public protocol OutputLayout: Sendable {
  /// The format's name.
  var name: OutputFormat { get }
  /// Whether its routers can have a bias.
  var holdsRouterBias: Bool { get }
  /// Why the format cannot hold `model` exactly, and what can; `nil` when it can.
  func refusal(of model: MixtureModel) -> String?
  /// The tensors of mixture layer `index`. Called only for models that are not refused.
  func layer(_ index: Int, of model: MixtureShape) -> LayerLayout
  /// Tensors outside the MLPs that the format wants and the model has not; all zeros.
  func additionalZeros(in model: MixtureModel) -> [TensorDeclaration]
  /// Whether attention is stored under other names and in other pieces than LLaMA's. Such a format
  /// is read by a `CheckpointLayout` of the same name, whose bindings say how, and only an export
  /// writes it.
  var movesAttention: Bool { get }
  /// Whether all tensors are, so that bindings say how each is put together. Such a format is of linear
  /// attention, and a model fits it where the folder would be read as the same model.
  var movesEverything: Bool { get }
  /// What the elements of a moved parameter are multiplied by.
  func movedScale(of parameter: String, in model: MixtureModel) -> Double
  /// `config.json`.
  func configuration(of model: MixtureModel) throws -> ConfigurationFile
}

extension OutputLayout {
  public var movesAttention: Bool { movesEverything }
  public var movesEverything: Bool { false }
  public func movedScale(of parameter: String, in model: MixtureModel) -> Double { 1 }
  public func additionalZeros(in model: MixtureModel) -> [TensorDeclaration] { [] }

  /// The tensors of converted layer `index`, a mixture or a pruned MLP.
  func places(_ index: Int, of model: MixtureShape) -> LayerLayout {
    model.block.geometry.form == .pruned
      ? .pruned(index, of: model) : layer(index, of: model)
  }
}

/// The formats by the names users give them.
public enum OutputFormat: String, CaseIterable, Sendable {
  case herd, mixtral, granitemoeshared, qwen2_moe, glm4_moe, jetmoe, llama
  case minimax, transnormer, hgrn2

  /// The formats a conversion can write at once; an export writes all.
  public static var convertible: [OutputFormat] { allCases.filter { !$0.make().movesAttention } }

  /// The formats that hold what a conversion can make of softmax attention.
  public static var ofSoftmax: [OutputFormat] { allCases.filter { !$0.make().movesEverything } }

  /// The layout of this name.
  public func make() -> any OutputLayout {
    switch self {
    case .herd: HerdOutput()
    case .mixtral: MixtralOutput()
    case .granitemoeshared: GraniteMoESharedOutput()
    case .qwen2_moe: Qwen2MoEOutput()
    case .glm4_moe: Glm4MoEOutput()
    case .jetmoe: JetMoEOutput()
    case .llama: LlamaOutput()
    case .minimax: MiniMaxOutput()
    case .transnormer: TransNormerOutput()
    case .hgrn2: HGRN2Output()
    }
  }
}
