import ExpertConstruction
import Formats
import Models
import Numerics

/// `herd verify`: proof that a mixture holds the dense model it came from.
public struct ModelVerification {
  /// The mixture's folder.
  public let mixture: String
  /// The dense folder.
  public let dense: String
  /// What messages call the mixture.
  private let name: String
  private let events: WorkflowEvents

  /// Tokens of the text on which logits are compared.
  static let tokens = 128

  /// A verification that has not looked at anything yet.
  /// - Parameter name: What messages call the mixture; its path unless given.
  public init(
    mixture: String, calling name: String? = nil, dense: String, events: WorkflowEvents = .init()
  ) {
    self.mixture = mixture
    self.name = name ?? mixture
    self.dense = dense
    self.events = events
  }

  /// What was found.
  public struct Result: Sendable {
    /// Largest difference of any logit: all experts chosen or, of whole copies, as routers choose.
    public let largestDifference: Double
    /// Largest dense logit.
    public let largestLogit: Double
    /// The byte ledger's account; `nil` for a folder without one, such as a trained one.
    public let ledger: LedgerVerification?
    /// One line on neurons that are left out or used more than once; the dense model's logits are
    /// then those of its kept neurons, each as often as it is used. `nil` when each is used once.
    public let neurons: String?
    /// Whether MLPs were left to their routers, since any choice among whole copies is the dense MLP.
    public let isRouted: Bool

    /// The relative rounding step of weights that a scale other than a power of two was folded into;
    /// 0 where every weight kept its bytes.
    public let rounding: Double

    /// Whether the model mixes tokens otherwise than its source, whose logits are then none to compare
    /// with: its bytes are, and its own logits have to be finite.
    public var isLinearized = false

    /// The difference that is still accepted: 1e-4 · max(1, max |logit|), or the rounding of folded
    /// weights where that is coarser.
    public var tolerance: Double { max(1e-4, rounding) * max(1, largestLogit) }

    /// The result for people.
    public var text: String {
      var lines = [
        "logits \(isRouted ? "as the routers choose" : "with every expert chosen"): largest difference \(largestDifference), accepted \(tolerance)"
      ]
      if isLinearized {
        lines = [
          "token mixers are others than the source's: its logits are finite, up to \(largestLogit)",
          "new tensors as the ledger's seed gives them: \(ledger?.created ?? 0)",
        ]
      }
      if let neurons {
        if !isRouted { lines[0] += ", against the dense model restricted to the neurons kept" }
        lines.append(neurons)
      }
      if ledger == nil {
        lines.append("no \(ByteLedger.fileName) beside the weights: bytes were not compared")
      }
      if let ledger {
        lines.append("source tensors restored byte for byte: \(ledger.restored)")
        if !ledger.partial.isEmpty {
          lines.append("of which but for the neurons left out: \(ledger.partial.count)")
        }
        if !ledger.rounded.isEmpty {
          lines.append("rounded by a folded scale: \(ledger.rounded.count)")
        }
        if !ledger.rewritten.isEmpty {
          lines.append(
            "refitted by recovery, as the ledger says and taken over for the logits: \(ledger.rewritten.count)"
          )
        }
      }
      return lines.joined(separator: "\n")
    }

    /// The result for machines.
    public var json: JSON {
      var object: JSONObject = [
        "max_logit_difference": JSON(largestDifference), "max_logit": JSON(largestLogit),
        "tolerance": JSON(tolerance), "passed": true,
        "neurons": neurons.map { JSON($0) } ?? .null, "as_routed": JSON(isRouted),
      ]
      if isLinearized {
        object["max_logit_difference"] = .null
        object["tolerance"] = .null
      }
      object["ledger"] = .null
      if let ledger {
        object["ledger"] = [
          "restored_tensors": JSON(ledger.restored), "restored_elements": JSON(ledger.elements),
          "rounded_tensors": .array(ledger.rounded.map { JSON($0) }),
          "rewritten_tensors": .array(ledger.rewritten.map { JSON($0) }),
          "partial_tensors": .array(ledger.partial.map { JSON($0) }),
          "created_tensors": JSON(ledger.created),
        ]
      }
      return .object(object)
    }
  }

  /// Compares logits and bytes on `device`, in full precision.
  public func run(on device: Device = .cpu()) throws -> Result {
    try run(in: Context(device: device.inFullPrecision))
  }

  /// Compares logits and bytes.
  /// - Throws: ``WorkflowError`` when either differs.
  public func run(in context: Context) throws -> Result {
    let (folder, source) = (try ModelFolder(mixture), try ModelFolder(dense))
    let (own, other) = (folder.configuration, source.configuration)
    guard own.hiddenSize == other.hiddenSize, own.vocabularySize == other.vocabularySize,
      own.blocks.count == other.blocks.count
    else {
      throw WorkflowError("\(name) and \(dense) have different shapes; give the dense source")
    }
    if try isLinearized(folder) { return try linearized(folder, source, in: context) }
    let isMixture = try own.blocks.contains(where: \.isMixture) || isPruned(folder)
    let isDense = !other.blocks.contains(where: \.isMixture)
    guard isMixture, isDense else {
      throw WorkflowError(
        isMixture
          ? "\(dense) is a mixture itself; give the dense checkpoint with --against"
          : "\(name) has no experts, so there is nothing to verify; give a converted folder")
    }
    let ledger = try ledger(folder, source)
    let isRouted = ledger?.ledger.holdsWholeCopies == true
    if let shape = ledger?.ledger.shape, shape.block.geometry.form == .copied {
      try check(own, hasTheCopiesOf: shape)
    }
    events.note("comparing logits \(isRouted ? "as routed" : "with every expert chosen")")
    let text = text(own)
    let expected = try logits(
      source, text, uses: isRouted ? [:] : ledger?.uses ?? [:], recovered: ledger?.ledger,
      made: folder,
      in: context)
    let found = try logits(
      folder, text, silencing: ledger?.ledger.splits ?? [], isRouted: isRouted, in: context)
    var (difference, largest) = (0.0, 0.0)
    for (a, b) in zip(found, expected) {
      difference = max(difference, abs(Double(a) - Double(b)))
      largest = max(largest, abs(Double(b)))
      if !a.isFinite { difference = .infinity }
    }
    let isRounded = ledger.map { !$0.result.rounded.isEmpty } ?? false
    let result = Result(
      largestDifference: difference, largestLogit: largest, ledger: ledger?.result,
      neurons: ledger?.neurons, isRouted: isRouted,
      rounding: isRounded
        ? ledger.map { Self.roundingStep(of: $0.elementType) } ?? 0 : 0)
    guard difference <= result.tolerance else {
      throw WorkflowError(
        "\(name): \(isRouted ? "as its routers choose" : "with all experts chosen") its logits differ from \(dense) by \(difference), more than \(result.tolerance); it is not a conversion of that model, was trained since, or has lost its \(ByteLedger.fileName)"
      )
    }
    return result
  }

  /// Whether the folder's ledger tells of tensors that a move to linear attention added.
  private func isLinearized(_ folder: ModelFolder) throws -> Bool {
    let path = "\(folder.path)/\(ByteLedger.fileName)"
    return try Files.exists(path) && ByteLedger(contentsOf: path).creation != nil
  }

  /// Every byte of the source and of what was added; the model runs.
  private func linearized(
    _ folder: ModelFolder, _ source: ModelFolder, in context: Context
  ) throws -> Result {
    let account = try ledger(folder, source)
    let logits = try logits(folder, text(folder.configuration), in: context)
    guard logits.allSatisfy(\.isFinite) else {
      throw WorkflowError("\(name): its logits are not finite; the weights are damaged")
    }
    return Result(
      largestDifference: 0, largestLogit: Double(logits.map(abs).max() ?? 0),
      ledger: account?.result, neurons: nil, isRouted: true, rounding: 0, isLinearized: true)
  }

  /// The tokens on which logits are looked at.
  private func text(_ model: ModelConfiguration) -> [Int32] {
    var random = RandomStream(seed: 1, purpose: 0x7e57)
    return (0..<min(Self.tokens, model.maximumPositions)).map { _ in
      Int32(random.uniform() * Double(model.vocabularySize))
    }
  }

  /// Where experts are copies, only those chosen are computed and only those of the ledger are
  /// compared byte for byte: a folder with other ones is another model.
  private func check(_ model: ModelConfiguration, hasTheCopiesOf shape: MixtureShape) throws {
    let geometry = shape.block.geometry
    for (layer, block) in model.blocks.enumerated() {
      guard case .mixture(let mixture) = block.mlp else { continue }
      guard mixture.experts == geometry.experts, mixture.topK == geometry.topK else {
        throw WorkflowError(
          "\(name): layer \(layer) has \(mixture.experts) experts top-\(mixture.topK), its \(ByteLedger.fileName) tells of \(geometry.experts) top-\(geometry.topK); give the folder as it was converted"
        )
      }
    }
  }

  /// The spacing of 1.0 in the type of the MLP weights.
  private static func roundingStep(of type: ElementType?) -> Double {
    switch type {
    case .bf16: 0x1p-7
    case .f16: 0x1p-10
    default: 0x1p-22
    }
  }

  /// Logits with every expert chosen, in MLPs only where they are not left to their routers.
  /// - Parameters:
  ///   - uses: How often each neuron of a dense layer counts; once each where not given.
  ///   - splits: Of the layers of a mixture, whose redrawn neurons are not to count.
  ///   - recovered: The ledger of the mixture `made`, whose recovered matrices are taken over.
  private func logits(
    _ folder: ModelFolder, _ text: [Int32], uses: [Int: [Int32]] = [:],
    silencing splits: [NeuronSplit?] = [], isRouted: Bool = false,
    recovered: ByteLedger? = nil, made: ModelFolder? = nil, in context: Context
  ) throws -> [Float] {
    let model = try folder.loader.model(in: context)
    if let recovered, let made {
      try LedgerVerification.rewrittenMatrices(of: recovered, in: made.checkpoint) { name, bytes in
        guard let parameter = model.parameters.first(where: { $0.name == name }),
          let type = recovered.shape.flatMap({ DType($0.elementType) })
        else {
          throw WorkflowError("\(dense): there is no \(name) that could have been refitted")
        }
        parameter.value = context.cast(
          context.tensor(bytes: bytes, parameter.value.shape, type), to: parameter.value.dtype)
      }
    }
    for (layer, uses) in uses {
      let name = "\(ParameterName.mlp(layer)).down_proj.weight"
      guard let down = model.parameters.first(where: { $0.name == name }) else {
        throw WorkflowError("\(folder.path): layer \(layer) has no dense MLP to compare with")
      }
      var values = context.read(down.value)
      for index in values.indices { values[index] *= Float(uses[index % uses.count]) }
      down.value = context.tensor(values, down.value.shape, down.value.dtype)
    }
    for (layer, split) in splits.enumerated() where split?.redrawn.isEmpty == false {
      silence(split?.redrawn ?? [], ofLayer: layer, model, context)
    }
    return model.choosingAllExperts(of: isRouted ? .attention : nil) {
      context.read(model.logits(text, in: context))
    }
  }

  /// Sets the down columns of some neurons of each expert to zero.
  private func silence(
    _ neurons: [[Int32]], ofLayer layer: Int, _ model: LanguageModel, _ context: Context
  ) {
    let name = "\(ParameterName.mlp(layer)).experts.down_proj"
    guard let down_EDI = model.parameters.first(where: { $0.name == name }) else { return }
    let shape = down_EDI.value.shape
    var values = context.read(down_EDI.value)
    for row in 0..<shape[0] * shape[1] {
      for neuron in neurons[row / shape[1]] { values[row * shape[2] + Int(neuron)] = 0 }
    }
    down_EDI.value = context.tensor(values, shape, down_EDI.value.dtype)
  }

  /// What the ledger says and whether it is true.
  private struct Account {
    let result: LedgerVerification
    let elementType: ElementType?
    let uses: [Int: [Int32]]
    let neurons: String?
    let ledger: ByteLedger
  }

  /// Whether the folder's ledger says that its dense MLPs are pruned ones.
  private func isPruned(_ folder: ModelFolder) throws -> Bool {
    let path = "\(folder.path)/\(ByteLedger.fileName)"
    guard Files.exists(path) else { return false }
    return try ByteLedger(contentsOf: path).shape?.block.geometry.form == .pruned
  }

  private func ledger(_ folder: ModelFolder, _ source: ModelFolder) throws -> Account? {
    let path = "\(folder.path)/\(ByteLedger.fileName)"
    guard Files.exists(path) else { return nil }
    let ledger = try ByteLedger(contentsOf: path)
    let (listed, there) = (
      Set(ledger.source.map(\.name)), Set(source.checkpoint.tensors.map(\.name))
    )
    if let missing = there.subtracting(listed).min() ?? listed.subtracting(there).min() {
      throw WorkflowError(
        "\(path): the ledger and \(dense) do not have the same tensors, first \(missing); give the folder that this one was made from"
      )
    }
    events.note("restoring every source tensor and comparing its hash")
    let result = try LedgerVerification(folder.checkpoint, ledger, against: source.checkpoint)
    guard result.isExact else {
      throw WorkflowError(
        "\(name): \(result.different.count) source tensors do not come back, first \(result.different[0]); the folder was damaged or trained since it was converted"
      )
    }
    return Account(
      result: result, elementType: ledger.shape?.elementType, uses: ledger.unevenUses,
      neurons: ledger.neuronNote, ledger: ledger)
  }
}
