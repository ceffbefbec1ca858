import Data
import Models
import Numerics

/// Everything that decides what a training stage does, besides the model and the seed.
///
/// The initial values are the defaults of a settings file.
public struct StageSettings: Sendable, Equatable {
  /// One data file and its share of the mix.
  public struct DataSource: Sendable, Equatable {
    /// Path of the file, relative to the settings file.
    public var file: String
    /// Relative weight in the mix; the weights need not add up to one.
    public var weight: Double
    /// Chat format; `nil` finds it from the tokenizer.
    public var format: String?

    /// A file with its weight.
    public init(file: String, weight: Double = 1, format: String? = nil) {
      self.file = file
      self.weight = weight
      self.format = format
    }
  }

  /// How sequences are cut from the data.
  public enum Sampling: String, Sendable, CaseIterable {
    /// Whole documents packed together, each with its own attention and positions.
    case documents
    /// Windows at random offsets of the concatenated stream; document boundaries are not seen.
    case windows
  }

  /// Parameters that learn at their own rate.
  public struct Group: Sendable, Equatable {
    /// Glob pattern on parameter names.
    public var pattern: String
    /// Peak learning rate.
    public var learningRate: Double

    /// A pattern and its peak learning rate.
    public init(pattern: String, learningRate: Double) {
      self.pattern = pattern
      self.learningRate = learningRate
    }
  }

  /// Element type of the weights a finished stage writes.
  public enum SaveType: String, Sendable, CaseIterable {
    case f32, bf16
  }

  /// How the optimizer keeps its moments.
  public enum OptimizerKind: String, Sendable, CaseIterable {
    /// AdamW with moments in `f32`: 8 bytes a parameter.
    case adamW = "adamw"
    /// AdamW with moments in 8 bits: 2 bytes a parameter.
    case adamW8Bit = "adamw_8bit"
  }

  /// Element type of the matrices while they train.
  public enum WeightType: String, Sendable, CaseIterable {
    /// Full precision, beside which a GPU keeps a copy in its activations' type.
    case f32
    /// 16 bits alone, rounded at random after each step.
    case bf16

    /// The type matrices are loaded in.
    public var dtype: DType { self == .f32 ? .f32 : .bf16 }
  }

  /// Names the stage and its folder.
  public var name: String
  /// The weighted mix of data files.
  public var data: [DataSource]
  /// How the shares of the domains change on the way; `nil` leaves them as `data` says.
  public var domainWeighting: DomainWeighting?
  /// Tokens to train on; rounded up to whole steps.
  public var tokens: Int
  /// Tokens in a sequence.
  public var sequenceLength = 1024
  /// Sequences in an optimizer step.
  public var batchSequences = 16
  /// Sequences in a forward and backward pass; gradients accumulate over a step's passes.
  public var microBatch = 4
  /// How sequences are cut from the data.
  public var sampling = Sampling.documents
  /// Glob patterns of the parameters that train.
  public var train = ["*"]
  /// Weights that are trained by additions of low rank; ``train`` then names what trains in full
  /// besides.
  public var lora: LowRankSettings?
  /// Peak learning rate.
  public var learningRate = 1e-3
  /// Peak learning rate of what routers score with; `nil` for that of everything else. AdamW steps
  /// are as long for a router that is nearly right as for any weight, so a fitted one is soon lost
  /// at the experts' rate.
  public var routerLearningRate: Double?
  /// Parameters with their own learning rate; the first pattern that matches counts.
  public var groups: [Group] = []
  /// How the optimizer keeps its moments.
  public var optimizer = OptimizerKind.adamW
  /// Element type of the matrices while they train; `bf16` needs ``OptimizerKind/adamW8Bit``.
  public var weights = WeightType.f32
  /// Decay of the two moments of AdamW.
  public var betas = [0.9, 0.95]
  /// ε of AdamW.
  public var epsilon = 1e-8
  /// Decoupled weight decay of matrices; vectors (norms, biases, gains) are never decayed.
  public var weightDecay = 0.0
  /// Largest global norm of the gradient; 0 leaves it as it is.
  public var clip = 1.0
  /// Learning rate over the steps.
  public var schedule = Schedule()
  /// Standard deviation of noise on the scores of MLP routers while they train (where a router has
  /// learned sizes, added to those); 0 for none.
  public var routerNoise = 0.0
  /// What every router sees is multiplied, element by element, by factors from one less this to one
  /// more while it trains; 0 for none.
  public var routerJitter = 0.0
  /// What is minimised.
  public var losses = Losses()
  /// Recompute each block's activations in backward instead of keeping them.
  public var checkpointing = false
  /// Steps between evaluations; 0 for none.
  public var evaluateEvery = 0
  /// Steps between checkpoints; 0 for none.
  public var checkpointEvery = 50
  /// Element type of the weights written at the end.
  public var saveType = SaveType.f32

  /// A stage with every other setting at its default.
  public init(name: String, data: [DataSource], tokens: Int) {
    self.name = name
    self.data = data
    self.tokens = tokens
  }

  /// The domain of each entry of ``data``.
  public var domains: [String] { data.map { TokenStream.domain(of: $0.file) } }

  /// The optimizer that the settings name.
  func makeOptimizer(seed: UInt64) -> any Optimizer {
    var rates = AdamWSettings()
    rates.beta1 = betas[0]
    rates.beta2 = betas[1]
    rates.epsilon = epsilon
    rates.weightDecay = weightDecay
    return switch optimizer {
    case .adamW: AdamW(rates)
    case .adamW8Bit: AdamW8Bit(rates, seed: seed)
    }
  }

  /// Bytes that training holds for a model's parameters, besides activations: weights, the copy a GPU
  /// multiplies with in 16-bit `activations`; of what trains gradients in `f32`, moments and their
  /// scales. Without ``lora`` all count as trained.
  ///
  /// - Parameters:
  ///   - parameters: How many the model has.
  ///   - shapes: Theirs, by which those of adapters are counted.
  public func stateBytes(
    parameters: Int, shapes: [ParameterShape] = [], activations: DType
  ) -> Int {
    let copy = weights == .f32 && activations == .bf16 ? 2 : 0
    let held = parameters * (weights.dtype.byteCount + copy)
    guard let lora else { return held + trainedBytes(parameters) }
    let patterns = (lora: lora.targets.map(NamePattern.init), full: train.map(NamePattern.init))
    var (full, added) = (0, 0)
    for shape in shapes {
      if shape.shape.count == 2, patterns.lora.contains(where: { $0.matches(shape.name) }) {
        added += lora.rank * (shape.shape[0] + shape.shape[1])
      } else if patterns.full.contains(where: { $0.matches(shape.name) }) {
        full += shape.shape.reduce(1, *)
      }
    }
    return held + added * (4 + copy) + trainedBytes(full + added)
  }

  /// Gradients and moments of `parameters` parameters.
  private func trainedBytes(_ parameters: Int) -> Int {
    4 * parameters + (optimizer == .adamW ? 8 * parameters : 2 * parameters + parameters / 32)
  }

  /// Optimizer steps: `tokens` over the tokens of a step, rounded up.
  public var steps: Int {
    let perStep = sequenceLength * batchSequences
    return (tokens + perStep - 1) / perStep
  }
}
