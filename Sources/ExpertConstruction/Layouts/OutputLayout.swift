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
  /// `config.json`.
  func configuration(of model: MixtureModel) throws -> ConfigurationFile
}

extension OutputLayout {
  public func additionalZeros(in model: MixtureModel) -> [TensorDeclaration] { [] }

  /// The tensors of converted layer `index`, a mixture or a pruned MLP.
  func places(_ index: Int, of model: MixtureShape) -> LayerLayout {
    model.block.geometry.form == .pruned
      ? .pruned(index, of: model) : layer(index, of: model)
  }
}

/// The formats by the names users give them.
public enum OutputFormat: String, CaseIterable, Sendable {
  case herd, mixtral, granitemoeshared, qwen2_moe, llama

  /// The layout of this name.
  public func make() -> any OutputLayout {
    switch self {
    case .herd: HerdOutput()
    case .mixtral: MixtralOutput()
    case .granitemoeshared: GraniteMoESharedOutput()
    case .qwen2_moe: Qwen2MoEOutput()
    case .llama: LlamaOutput()
    }
  }
}
