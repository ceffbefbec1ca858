import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct DensificationTests {
  private let folder = TemporaryFolder()

  private func convert(_ dense: String, _ settings: ConversionSettings) throws -> String {
    let (source, checkpoint) = try openDense(dense)
    let path = "\(folder.path)/moe"
    _ = try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: Context()
    ).run(to: path, force: true, calibration: NoiseCalibration(context: Context(), hidden: 8))
    return path
  }

  private func densify(_ path: String, weightsAsOne: Bool = false) throws -> Densification {
    let (loader, config) = try openModel(path)
    let work = try Densification(loader, configuration: config, weightsAsOne: weightsAsOne)
    try work.run(to: "\(folder.path)/back", force: true)
    return work
  }

  private func bytes(_ folder: String) throws -> [String: [UInt8]] {
    let checkpoint = try Checkpoint(folder: folder)
    return try Dictionary(
      uniqueKeysWithValues: checkpoint.tensors.map {
        ($0.name, try checkpoint.withBytes(of: $0.name) { Array($0) })
      })
  }

  /// Every format gives the dense source back, byte for byte, and its configuration.
  @Test(arguments: OutputFormat.convertible.filter { $0 != .llama })
  func theSourceComesBack(format: OutputFormat) throws {
    let dense = try SmallCheckpoint(attentionBias: format == .herd).write(in: folder)
    let holdsShared = format != .mixtral
    let moe = try convert(
      dense,
      ConversionSettings(
        experts: holdsShared ? 3 : 4, topK: 1, shared: holdsShared ? 1 : 0,
        strategy: .clusterWeights, router: .random,
        rule: format == .glm4_moe ? .renormalizedSigmoid : .renormalizedSoftmax, scale: 4,
        format: format))
    let work = try densify(moe)
    #expect(work.isRestoration && work.rounded.isEmpty && work.losses == nil)
    #expect(try bytes("\(folder.path)/back") == bytes(dense))
    let config = try ConfigurationFile(contentsOf: "\(folder.path)/back/config.json")
    #expect(try config.string("model_type") == "llama")
    #expect(try config.integer("intermediate_size") == 24)
    if format == .herd {
      let original = try ConfigurationFile(contentsOf: "\(dense)/config.json")
      #expect(config.object == original.object)
    }
    #expect(Files.exists("\(folder.path)/back/LICENSE"))
    #expect(!Files.exists("\(folder.path)/back/\(ByteLedger.fileName)"))
  }

  @Test func aRoundingScaleIsTold() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let moe = try convert(
      dense,
      ConversionSettings(
        experts: 4, topK: 3, shared: 0, strategy: .random, router: .random,
        rule: .renormalizedSoftmax, scale: 3, format: .mixtral))
    let work = try densify(moe)
    #expect(work.isRestoration)
    #expect(
      Set(work.rounded) == [
        "model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.down_proj.weight",
      ])
    let (given, expected) = try (bytes("\(folder.path)/back"), bytes(dense))
    for (name, value) in given where !work.rounded.contains(name) {
      #expect(value == expected[name], "\(name)")
    }
  }

  /// A format that always has shared experts writes zeros, which are no neurons.
  @Test func sharedExpertsOfZerosAreNoNeurons() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    let moe = try convert(
      dense,
      ConversionSettings(
        experts: 4, topK: 2, shared: 0, strategy: .clusterWeights, router: .random,
        rule: .renormalizedSigmoid, scale: 4, format: .glm4_moe))
    let found = try CheckpointComparison(openModel(dense).loader, openModel(moe).loader).run()
    #expect(found.neurons.count == 2 && found.neurons.allSatisfy(\.isPermutation))
    #expect(!found.onlyInSecond.contains { $0.name.contains("shared_expert") })
    let work = try densify(moe)
    #expect(work.isRestoration)
    #expect(try bytes("\(folder.path)/back") == bytes(dense))
    try Files.remove("\(moe)/\(ByteLedger.fileName)")
    _ = try densify(moe, weightsAsOne: true)
    let config = try ConfigurationFile(contentsOf: "\(folder.path)/back/config.json")
    #expect(try config.integer("intermediate_size") == 24)
    #expect(config["num_nextn_predict_layers"] == nil)
    let restored = try openModel("\(folder.path)/back").loader
    let back = try CheckpointComparison(openModel(dense).loader, restored).run()
    #expect(back.neurons.count == 2 && back.neurons.allSatisfy(\.isPermutation))
  }

  /// What recovery rewrote is not said to be the source.
  @Test(arguments: [RecoveryName.affine, .scale, .align])
  func rewrittenMatricesAreNoSource(recovery: RecoveryName) throws {
    let dense = try SmallCheckpoint().write(in: folder)
    var settings = ConversionSettings(experts: 3, topK: 1, shared: 1, strategy: .random)
    settings.recovery = recovery
    let work = try densify(convert(dense, settings), weightsAsOne: true)
    #expect(work.isRestoration == (recovery == .affine))
    let back = try bytes("\(folder.path)/back")
    #expect(try (back == bytes(dense)) == (recovery == .affine))
    if recovery != .affine {
      #expect(work.losses?.contains("2 source matrices that recovery rewrote") == true)
      #expect(work.losses?.contains("2 output biases") == (recovery == .align))
    }
  }

  /// Without a ledger, as after training, the experts stand side by side: the function is that of
  /// the mixture with every expert chosen.
  @Test func aTrainedMixtureBecomesItsExpertsSideBySide() throws {
    let dense = try SmallCheckpoint(elementType: .f32).write(in: folder)
    let moe = try convert(
      dense,
      ConversionSettings(
        experts: 3, topK: 2, shared: 1, strategy: .random, router: .random, rule: .gained))
    try Files.remove("\(moe)/\(ByteLedger.fileName)")
    let work = try densify(moe)
    #expect(!work.isRestoration)
    #expect(work.losses?.contains("2 routers, 2 gains") == true)
    try expectSameLogits("\(folder.path)/back", dense, within: 1e-4)
    #expect(try bytes("\(folder.path)/back") != bytes(dense))
  }

  @Test func otherFunctionsAreRefused() throws {
    let dense = try SmallCheckpoint().write(in: folder)
    func refusal(_ path: String) throws -> String? {
      do {
        _ = try densify(path)
        return nil
      } catch { return "\(error)" }
    }
    #expect(try refusal(dense)?.contains("dense already") == true)
    let weighted = try convert(
      dense,
      ConversionSettings(
        experts: 4, topK: 2, shared: 0, strategy: .random, router: .random,
        rule: .renormalizedSoftmax))
    try Files.remove("\(weighted)/\(ByteLedger.fileName)")
    #expect(try refusal(weighted)?.contains("--weights-as-one") == true)
    #expect(try densify(weighted, weightsAsOne: true).tensorCount == 20)
    // More neurons than the dense model had: some are in two experts.
    var config = try ConfigurationFile(contentsOf: "\(weighted)/config.json")
    config["intermediate_size"] = 20
    try config.write(to: "\(weighted)/config.json")
    #expect(try refusal(weighted)?.contains("overlap") == true)
    // Altered weights do not agree with the ledger any more, so it is no restoration.
    let altered = try convert(
      dense,
      ConversionSettings(
        experts: 4, topK: 2, shared: 0, strategy: .random, router: .random,
        rule: .renormalizedSoftmax))
    var file = try Files.read("\(altered)/model.safetensors")
    file[file.count - 4] ^= 1
    try Files.write(file, to: "\(altered)/model.safetensors")
    #expect(try refusal(altered)?.contains("weight one") == true)
  }
}
