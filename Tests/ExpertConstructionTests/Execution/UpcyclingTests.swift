import Formats
import Models
import Numerics
import TestSupport
import Testing

@testable import ExpertConstruction

/// Mixtures whose experts are copies of the whole MLP, some neurons drawn anew or none.
@Suite struct UpcyclingTests {
  private let folder = TemporaryFolder()
  private let context: Context
  private let path: String

  init() throws {
    context = try Context(device: .cpu(threads: 1))
    path = try SmallCheckpoint(elementType: .f32).write(in: folder)
  }

  private func settings(
    _ strategy: StrategyName, _ change: (inout ConversionSettings) -> Void = { _ in }
  ) -> ConversionSettings {
    // 5 experts do not divide a width of 24.
    var settings = ConversionSettings(experts: 5, topK: 2, shared: nil, strategy: strategy)
    change(&settings)
    return settings
  }

  private func convert(
    _ settings: ConversionSettings, to name: String = "out"
  ) throws -> ConversionReport {
    let (source, checkpoint) = try openDense(path)
    return try Conversion(
      ConversionPlan(source, settings), checkpoint: checkpoint, context: context
    ).run(
      to: "\(folder.path)/\(name)", force: true,
      calibration: NoiseCalibration(context: context, hidden: 8))
  }

  private func load(_ name: String) throws -> LanguageModel {
    let folder = "\(self.folder.path)/\(name)"
    return try ModelLoader(
      layout: CheckpointLayouts.layout(for: ConfigurationFile(contentsOf: "\(folder)/config.json")),
      checkpoint: Checkpoint(folder: folder)
    ).model(in: context)
  }

  private func logits(_ model: LanguageModel) -> [Float] {
    context.read(model.logits([0, 5, 9, 2, 15, 7], in: context))
  }

  private func values(_ folder: String, _ tensor: String) throws -> [Float] {
    try Checkpoint(folder: folder).withBytes(of: tensor) { bytes in
      (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
  }

  private func expert(_ layer: Int, _ expert: Int, _ projection: Projection) -> String {
    HerdOutput.name(of: .expert(expert, projection), layer: layer)
  }

  private func isClose(_ first: [Float], _ second: [Float]) -> Bool {
    zip(first, second).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) }
  }

  /// The mixture is the dense model whatever its routers say, and its experts are the dense MLP's
  /// very bytes.
  @Test func anUpcycledModelIsTheDenseOneUnderAnyRouter() throws {
    let report = try convert(settings(.upcycle))
    for layer in 0..<2 {
      for projection in Projection.allCases {
        let dense = try values(path, DenseSource.name(layer, projection))
        for index in 0..<5 {
          #expect(try values("\(folder.path)/out", expert(layer, index, projection)) == dense)
        }
      }
    }
    let expected = try logits(load("dense"))
    let model = try load("out")
    #expect(isClose(logits(model), expected))
    var random = RandomStream(seed: 6)
    for _ in 0..<3 {
      for layer in 0..<2 {
        let name = "model.layers.\(layer).mlp.router.weight"
        let router = try #require(model.parameters.first { $0.name == name })
        router.value = context.tensor(random.normal(40).map { 3 * $0 }, [5, 8])
      }
      #expect(isClose(logits(model), expected))
    }
    let config = try ConfigurationFile(contentsOf: "\(folder.path)/out/config.json")
    let mlp = config["herd"]?["blocks"]?.array?.first?["mlp"]
    #expect(mlp?["expert_width"]?.int == 24 && mlp?["experts"]?.int == 5)
    #expect(mlp?["combination"]?["rule"] == "renormalized_softmax")
    #expect(config["herd"]?["construction"]?["router"] == "random")
    #expect(report.layerErrors == [0, 0])
    #expect(report.ledger.holdsWholeCopies && report.ledger.droppedNeurons == 0)
    #expect(report.ledger.neuronNote?.contains("each of 5 experts is a copy") == true)
    let stored = try JSON.parse(Files.read("\(folder.path)/out/\(ByteLedger.fileName)"))
    #expect(stored["layers"]?.array == [["copies": 5], ["copies": 5]])
    #expect(stored["mlp"]?["form"] == "copied")
  }

  /// What is kept is the dense MLP's bytes, what is not is listed, and silent it leaves the sum of the
  /// kept neurons.
  @Test func aDropUpcycledModelKeepsWhatTheLedgerSays() throws {
    let report = try convert(settings(.dropUpcycle) { ($0.dropRatio, $0.seed) = (0.25, 3) })
    #expect(!report.ledger.holdsWholeCopies)
    for layer in 0..<2 {
      let split = try #require(report.ledger.split(ofLayer: layer))
      #expect(split.redrawn.map(\.count) == [6, 6, 6, 6, 6])
      for projection in Projection.allCases {
        let dense = try values(path, DenseSource.name(layer, projection))
        for index in 0..<5 {
          let made = try values("\(folder.path)/out", expert(layer, index, projection))
          let redrawn = Set(split.redrawn[index])
          for place in dense.indices {
            let neuron = Int32(projection == .down ? place % 24 : place / 8)
            #expect((made[place] == dense[place]) == !redrawn.contains(neuron))
          }
        }
      }
    }
    #expect(zip(report.layerErrors, report.layerMagnitudes).allSatisfy { $0 <= 1e-6 * $1 })
    let note = report.ledger.neuronNote ?? ""
    #expect(note.contains("60 of 240 drawn anew (layer 0, expert 0: "), "\(note)")
    let card = String(decoding: try Files.read("\(folder.path)/out/README.md"), as: UTF8.self)
    #expect(card.contains("60 of 240 drawn anew"))
    let config = try ConfigurationFile(contentsOf: "\(folder.path)/out/config.json")
    #expect(config["herd"]?["construction"]?["drop_ratio"]?.double == 0.25)
  }

  /// The same seed gives the same bytes, another one others.
  @Test func theSeedDecides() throws {
    func bytes(_ seed: UInt64, _ name: String) throws -> [UInt8] {
      _ = try convert(settings(.dropUpcycle) { $0.seed = seed }, to: name)
      return try Files.read("\(folder.path)/\(name)/model.safetensors")
    }
    let first = try bytes(7, "a")
    #expect(try bytes(7, "b") == first)
    #expect(try bytes(8, "c") != first)
  }

  /// One flipped bit anywhere in an expert is found and names its source tensor, whether the neuron was
  /// kept or drawn.
  @Test(arguments: [StrategyName.upcycle, .dropUpcycle], [true, false])
  func aChangedByteIsFound(strategy: StrategyName, hasDense: Bool) throws {
    let report = try convert(settings(strategy))
    let made = "\(folder.path)/out"
    let ledger = try ByteLedger(contentsOf: "\(made)/\(ByteLedger.fileName)")
    #expect(ledger == report.ledger)
    let dense = hasDense ? try Checkpoint(folder: path) : nil
    func result() throws -> LedgerVerification {
      try LedgerVerification(Checkpoint(folder: made), ledger, against: dense)
    }
    #expect(try result().isExact && result().restored == ledger.source.count)
    let written = try Checkpoint(folder: made)
    let (file, good) = ("\(made)/model.safetensors", try Files.read("\(made)/model.safetensors"))
    let start = good.count - written.totalBytes
    for (index, projection) in [(0, Projection.gate), (4, .up), (2, .down)] {
      let place = try written.tensor(expert(1, index, projection)).byteRange.lowerBound
      let redrawn = ledger.split(ofLayer: 1)?.redrawn(ofExpert: index) ?? []
      let kept = (0..<24).filter { !redrawn.contains(Int32($0)) }
      // A neuron that stayed, and one that did not where there is one.
      for neuron in [kept.last, redrawn.first.map { Int($0) }].compactMap({ $0 }) {
        let element = projection == .down ? 3 * 24 + neuron : neuron * 8 + 3
        var bytes = good
        bytes[start + place + 4 * element] ^= 1
        try Files.write(bytes, to: file)
        #expect(try result().different == [DenseSource.name(1, projection)])
      }
    }
    try Files.write(good, to: file)
    #expect(try result().isExact)
  }

  /// A ledger that names other neurons, another seed or another distribution is found out.
  @Test func anAlteredLedgerIsFound() throws {
    let ledger = try convert(settings(.dropUpcycle)).ledger
    let written = try Checkpoint(folder: "\(folder.path)/out")
    func different(
      against dense: Checkpoint? = nil, _ change: (inout ByteLedger) throws -> Void
    ) throws -> Int {
      var altered = ledger
      try change(&altered)
      return try LedgerVerification(written, altered, against: dense).different.count
    }
    #expect(try different { _ in } == 0)
    #expect(try different { $0.redraw?.seed = 77 } == 6)
    #expect(try different { $0.redraw = nil } == 6)
    let moved = try NeuronSplit(
      copying: #require(ledger.shape).block.geometry,
      redrawn: #require(ledger.split(ofLayer: 0)).redrawn.reversed())
    #expect(try different { $0.splits[0] = moved } == 3)
    func other(_ ledger: inout ByteLedger) {
      ledger.redraw?.normals[1]?[2][.up]?.mean += 0.125
    }
    #expect(try different(other) == 1)
    // A mean so near that the drawn values round to the same: only the dense model tells.
    #expect(try different(against: Checkpoint(folder: path)) { _ in } == 0)
    #expect(
      try different(against: Checkpoint(folder: path)) { ledger in
        guard let mean = ledger.redraw?.normals[1]?[2][.up]?.mean else { return }
        ledger.redraw?.normals[1]?[2][.up]?.mean = mean.nextUp
      } == 1)
  }

  /// Malformed ledgers are one-line errors.
  @Test func malformedLedgersAreRefused() throws {
    let text = try convert(settings(.dropUpcycle)).ledger.json.serialized()
    func problem(_ old: String, _ new: String) -> String {
      let compact = text.split(separator: " ").joined()
      #expect(compact.contains(old), "\(old)")
      let edited = compact.split(separator: old, omittingEmptySubsequences: false)
        .joined(separator: new)
      do {
        _ = try ByteLedger(ConfigurationFile(path: "ledger", bytes: Array(edited.utf8)))
        return ""
      } catch { return "\(error)" }
    }
    #expect(problem("\"copies\":5", "\"copies\":4").contains("not as many as the experts"))
    #expect(problem("\"redraw_seed\":\"0\"", "\"redraw_seed\":\"x\"").contains("no redraw_seed"))
    #expect(problem("\"redraw_seed\":\"0\",", "").contains("belong together"))
    #expect(problem("\"neurons\":[", "\"neurons\":[99,").contains("not an ascending part"))
    #expect(problem("\"mean\":", "\"average\":").contains("mean"))
  }

  /// Formats that hold the model compute the same; the others say why not.
  @Test(arguments: [StrategyName.upcycle, .dropUpcycle])
  func exportsComputeTheSame(strategy: StrategyName) throws {
    _ = try convert(settings(strategy))
    let expected = try logits(load("out"))
    let checkpoint = try Checkpoint(folder: "\(folder.path)/out")
    let configuration = try ConfigurationFile(contentsOf: "\(folder.path)/out/config.json")
    for format in [OutputFormat.mixtral, .granitemoeshared] {
      try Export(checkpoint, configuration: configuration, to: format)
        .run(to: "\(folder.path)/\(format)")
      #expect(try isClose(logits(load("\(format)")), expected))
      let ledger = try ByteLedger(contentsOf: "\(folder.path)/\(format)/\(ByteLedger.fileName)")
      #expect(ledger.format == format)
      let made = try Checkpoint(folder: "\(folder.path)/\(format)")
      let result = try LedgerVerification(made, ledger, against: Checkpoint(folder: path))
      #expect(result.isExact && result.rounded.isEmpty)
    }
    for (format, reason) in [
      (OutputFormat.qwen2_moe, "shared expert"), (.glm4_moe, "sigmoids"), (.llama, "no experts"),
      (.jetmoe, "--attention moa"),
    ] {
      let error = #expect(throws: ConstructionError.self) {
        try Export(checkpoint, configuration: configuration, to: format)
      }
      #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }
    // Sigmoids over their sum are weights that sum to one too.
    _ = try convert(settings(strategy) { $0.format = .glm4_moe }, to: "glm")
    if strategy == .upcycle { #expect(try isClose(logits(load("glm")), logits(load("dense")))) }
  }

  /// An unaltered upcycle is the dense model, byte for byte; anything else has no dense one.
  @Test func densifyGivesTheSourceBackOrSaysWhyNot() throws {
    func densify(_ name: String) throws -> Densification {
      let config = try ConfigurationFile(contentsOf: "\(folder.path)/\(name)/config.json")
      let work = try Densification(
        ModelLoader(
          layout: CheckpointLayouts.layout(for: config),
          checkpoint: Checkpoint(folder: "\(folder.path)/\(name)")), configuration: config)
      try work.run(to: "\(folder.path)/back", force: true)
      return work
    }
    func check(_ name: String) throws {
      let work = try densify(name)
      #expect(work.isRestoration && work.losses == nil && work.rounded.isEmpty)
      let (back, dense) = (
        try Checkpoint(folder: "\(folder.path)/back"), try Checkpoint(folder: path)
      )
      #expect(Set(back.tensors.map(\.name)) == Set(dense.tensors.map(\.name)))
      for tensor in dense.tensors {
        let expected = try dense.withBytes(of: tensor.name) { Array($0) }
        #expect(try back.withBytes(of: tensor.name) { Array($0) } == expected)
      }
    }
    _ = try convert(settings(.upcycle) { $0.keepDense = [1] })
    try check("out")
    _ = try convert(settings(.upcycle) { $0.format = .mixtral }, to: "mixtral")
    try check("mixtral")
    _ = try convert(settings(.dropUpcycle), to: "dropped")
    let dropped = #expect(throws: ConstructionError.self) { try densify("dropped") }
    #expect(dropped?.description.contains("drawn anew") == true)
    try Files.remove("\(folder.path)/out/\(ByteLedger.fileName)")
    let unknown = #expect(throws: ConstructionError.self) { try densify("out") }
    #expect(unknown?.description.contains("no dense MLP that they make together") == true)
  }

  /// Layers that stay dense, k-means routers and attention experts go with copies.
  @Test func goesWithOtherSettings() throws {
    let report = try convert(
      settings(.dropUpcycle) {
        ($0.keepDense, $0.router, $0.hasCalibrationData) = ([0], .kMeans, true)
      })
    #expect(report.ledger.splits[0] == nil && report.ledger.redraw?.normals.keys.sorted() == [1])
    #expect(
      try LedgerVerification(
        Checkpoint(folder: "\(folder.path)/out"), report.ledger,
        against: Checkpoint(folder: path)
      ).isExact)
    _ = try convert(
      settings(.upcycle) {
        $0.attention = AttentionSettings(strategy: .heads, experts: 4, topK: 2, shared: 0)
      })
    let (dense, model) = (try load("dense"), try load("out"))
    #expect(!isClose(logits(model), logits(dense)))
    #expect(isClose(model.choosingAllExperts(of: .attention) { logits(model) }, logits(dense)))
  }

  @Test func whatMakesNoSenseIsRefused() throws {
    let (source, _) = try openDense(path)
    func problem(
      _ strategy: StrategyName = .upcycle, _ change: (inout ConversionSettings) -> Void
    ) -> String {
      do {
        _ = try ConversionPlan(source, settings(strategy, change))
        return ""
      } catch { return "\(error)" }
    }
    #expect(problem { _ in } == "" && problem(.dropUpcycle) { _ in } == "")
    #expect(problem { $0.experts = 7 } == "")
    #expect(problem { $0.shared = 1 }.contains("leave nothing to share; give --shared 0"))
    #expect(problem { $0.topK = 6 }.contains("between 1 and 5"))
    #expect(problem { $0.recovery = .scale }.contains("use each neuron once"))
    #expect(problem { $0.router = .regressed }.contains("use --router random or kmeans"))
    #expect(problem { $0.meanTopK = 1.5 }.contains("leave --mean-top-k out"))
    #expect(problem { $0.searchesShared = true }.contains("cannot be searched for"))
    for rule in [CombinationRule.gained, .softmax, .sigmoid] {
      #expect(problem { $0.rule = rule }.contains("must sum to one"))
    }
    for ratio in [0, 1, -0.5, 1.5, .nan, .infinity] {
      #expect(problem(.dropUpcycle) { $0.dropRatio = ratio }.contains("above 0 and below 1"))
    }
    for ratio in [0.01, 0.99] {
      #expect(
        problem(.dropUpcycle) { $0.dropRatio = ratio }.contains("some must be new and some stay"))
    }
    #expect(problem { $0.format = .qwen2_moe }.contains("--format qwen2_moe cannot hold"))
  }
}
