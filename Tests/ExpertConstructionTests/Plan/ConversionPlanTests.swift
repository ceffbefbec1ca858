import Formats
import TestSupport
import Testing

@testable import ExpertConstruction

@Suite struct ConversionPlanTests {
  @Test func namesEveryTensorAndTouchesNothing() throws {
    let folder = TemporaryFolder()
    let path = try SmallCheckpoint().write(in: folder)
    let before = try Files.names(inFolder: path).map { try Files.read("\(path)/\($0)") }
    let (source, checkpoint) = try openDense(path)
    let plan = try ConversionPlan(source, ConversionSettings(experts: 3))
    for tensor in checkpoint.tensors { #expect(plan.description.contains(tensor.name)) }
    for output in plan.outputs { #expect(plan.description.contains(output.name)) }
    #expect(plan.fates.filter { $0.fate != .copied }.count == 6)
    #expect(plan.json["tensors"]?.array?.count == plan.outputs.count)
    #expect(folder.names == ["dense"])
    #expect(try Files.names(inFolder: path).map { try Files.read("\(path)/\($0)") } == before)
  }

  @Test func theHerdFormatHoldsTheSourceBytesPlusRouters() throws {
    let folder = TemporaryFolder()
    let (source, checkpoint) = try openDense(try SmallCheckpoint().write(in: folder))
    let plan = try ConversionPlan(source, ConversionSettings(experts: 3))
    // Per layer: 3 rows of 8, 3 biases and 3 gains, in F32.
    #expect(plan.outputBytes == checkpoint.totalBytes + 2 * (24 + 3 + 3) * 4)
    #expect(plan.block?.rule == .gained)
    #expect(plan.formatsAfterTraining.isEmpty)
    #expect(plan.notes.contains { $0.contains("sampled from the dense model") })
  }

  @Test func withoutCalibrationNoneIsPlanned() throws {
    let folder = TemporaryFolder()
    let (source, _) = try openDense(try SmallCheckpoint().write(in: folder))
    let plan = try ConversionPlan(
      source, ConversionSettings(experts: 3, strategy: .clusterWeights, router: .centroid))
    #expect(!plan.settings.needsCalibration)
    #expect(plan.notes == ["no --data: centroids are means of gate rows"])
    #expect(plan.block?.hasRouterBias == false)
  }

  @Test func randomRoutersGetTheScaleOfInterchangeableExperts() throws {
    let folder = TemporaryFolder()
    let (source, _) = try openDense(try SmallCheckpoint().write(in: folder))
    let plan = try ConversionPlan(
      source,
      ConversionSettings(experts: 8, topK: 2, shared: 0, strategy: .random, router: .random))
    #expect(plan.block?.rule == .renormalizedSoftmax)
    #expect(plan.block?.scale == 4)
    #expect(plan.formatsAfterTraining == [.mixtral, .granitemoeshared])
  }

  @Test func whatWillBeExportedIsMadeToFit() throws {
    let folder = TemporaryFolder()
    let (source, _) = try openDense(try SmallCheckpoint().write(in: folder))
    var settings = ConversionSettings(experts: 3, topK: 2, exports: [.granitemoeshared])
    let trained = try ConversionPlan(source, settings)
    #expect(trained.block?.hasRouterBias == false)
    #expect(trained.block?.rule == .renormalizedSoftmax && trained.block?.scale == 2)
    #expect(trained.formatsAfterTraining.contains(.granitemoeshared))
    #expect(trained.notes.contains { $0.contains("granitemoeshared has no router bias") })

    // Without training the gains stay zero, which the format can hold.
    settings.trainsBeforeExport = false
    #expect(try ConversionPlan(source, settings).block?.rule == .gained)

    settings.trainsBeforeExport = true
    settings.rule = .gained
    let gains = #expect(throws: ConstructionError.self) { try ConversionPlan(source, settings) }
    #expect(gains?.description.contains("exported to granitemoeshared") == true)
    settings.rule = nil
    settings.exports = [.herd, .mixtral]
    let shared = #expect(throws: ConstructionError.self) { try ConversionPlan(source, settings) }
    #expect(shared?.description.contains("--shared 0") == true)
    settings.exports = [.herd]
    #expect(try ConversionPlan(source, settings).block?.hasRouterBias == true)
  }

  @Test func configurationsThatCannotBeConvertedAreRefused() throws {
    let folder = TemporaryFolder()
    let path = try SmallCheckpoint().write(in: folder)
    let checkpoint = try Checkpoint(folder: path)
    let good = try ConfigurationFile(contentsOf: "\(path)/config.json")
    func problem(_ key: String, _ value: JSON) -> String? {
      var changed = good
      changed[key] = value
      do {
        _ = try DenseSource(configuration: changed, checkpoint: checkpoint)
        return nil
      } catch { return "\(error)" }
    }
    #expect(problem("some_future_field", 1) == nil)
    #expect(problem("model_type", "gpt2")?.contains("llama, mistral or qwen2") == true)
    #expect(problem("hidden_act", "gelu")?.contains("SwiGLU") == true)
    #expect(problem("mlp_bias", true)?.contains("biases") == true)
    #expect(problem("intermediate_size", 32)?.contains("has shape [24, 8]") == true)
    #expect(problem("num_hidden_layers", 3)?.contains("model.layers.2") == true)
    #expect(problem("num_hidden_layers", 1)?.contains("beyond the 1 layers") == true)
  }
}
