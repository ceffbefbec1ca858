import Formats
import Models

extension ByteLedger {
  /// The ledger as it is stored.
  public var json: JSON {
    var json: JSONObject = [
      "format_version": 1, "format": .string(format.rawValue),
      "dtype": shape.map { .string($0.elementType.rawValue) } ?? .null,
      "hidden_size": shape.map { JSON($0.hidden) } ?? .null,
      "mlp": shape.map { Self.json(of: $0.block) } ?? .null,
      "source_digest": .string(sourceDigest),
    ]
    json["rounding"] = rounding.map { .string($0) } ?? .null
    // Text, for readers that keep numbers as floating-point values.
    if let redraw { json["redraw_seed"] = .string("\(redraw.seed)") }
    json["source"] = .array(
      source.map {
        var entry: JSONObject = [
          "name": .string($0.name), "dtype": .string($0.elementType.rawValue),
          "shape": .array($0.shape.map { JSON($0) }), "sha256": .string($0.sha256),
        ]
        if let kept = $0.keptSHA256 { entry["kept_sha256"] = .string(kept) }
        if let made = $0.rewrittenSHA256 { entry["rewritten_sha256"] = .string(made) }
        if let copies = $0.copies {
          entry["head_copies"] = ["rows": JSON(copies.rows), "times": JSON(copies.times)]
        }
        return .object(entry)
      })
    if let creation { json["creation"] = creation.json }
    let uneven = unevenUses
    json["layers"] = .array(
      splits.enumerated().map { layer, split in
        guard let split else { return ["dense": true] }
        if shape?.block.geometry.form == .copied {
          return Self.json(ofCopies: split, redraw?.normals[layer] ?? [], uneven[layer] ?? [])
        }
        var entry: JSONObject = [
          "shared": .array(split.shared.map { JSON(Int($0)) }),
          "experts": .array(split.experts.map { .array($0.map { JSON(Int($0)) }) }),
        ]
        if let uses = uneven[layer] {
          entry["dropped"] = .array(uses.indices.filter { uses[$0] == 0 }.map { JSON($0) })
          // Pairs of a neuron and how often it is used.
          entry["repeated"] = .array(
            uses.indices.filter { uses[$0] > 1 }.map { [JSON($0), JSON(Int(uses[$0]))] })
        }
        return .object(entry)
      })
    return .object(json)
  }

  /// A layer of copies: how many there are, and what is not what it was.
  private static func json(
    ofCopies split: NeuronSplit, _ normals: [[Projection: NormalDistribution]], _ uses: [Int32]
  ) -> JSON {
    var entry: JSONObject = ["copies": JSON(split.experts.count)]
    guard !split.redrawn.isEmpty else { return .object(entry) }
    entry["dropped"] = .array(uses.indices.filter { uses[$0] == 0 }.map { JSON($0) })
    entry["redrawn"] = .array(
      zip(split.redrawn, normals).map { neurons, normals in
        var expert: JSONObject = ["neurons": .array(neurons.map { JSON(Int($0)) })]
        for projection in Projection.allCases {
          let normal = normals[projection] ?? NormalDistribution(mean: 0, deviation: 0)
          expert[projection.rawValue] = [
            "mean": JSON(normal.mean), "deviation": JSON(normal.deviation),
          ]
        }
        return .object(expert)
      })
    return .object(entry)
  }

  private static func json(of block: MixtureBlock) -> JSON {
    let geometry = block.geometry
    return [
      "width": JSON(geometry.width), "experts": JSON(geometry.experts),
      "top_k": JSON(geometry.topK), "shared": JSON(geometry.shared),
      "rule": .string(block.rule.rawValue), "scale": JSON(block.scale),
      "router_bias": .bool(block.hasRouterBias), "form": .string(geometry.form.rawValue),
      "output_bias": .bool(block.hasOutputBias),
      "router_kind": .string(block.routerKind.rawValue), "router_rank": JSON(block.routerRank),
    ]
  }

  /// Reads `herd_ledger.json`; `path` is named in errors.
  /// - Throws: When the file is not a ledger, or some neuron is missing from it or in it twice.
  public init(contentsOf path: String) throws {
    try self.init(ConfigurationFile(contentsOf: path))
  }

  init(_ file: ConfigurationFile) throws {
    guard try file.integer("format_version") == 1 else {
      throw ConstructionError(
        .damagedSource, "\(file.path): unknown format_version; use a newer herd")
    }
    format = try Self.named("format", file)
    let shape = try file.optionalSection("mlp").map { mlp in
      MixtureShape(
        block: try Self.block(mlp), hidden: try file.positive("hidden_size"),
        elementType: try Self.named("dtype", file))
    }
    self.shape = shape
    source = try file.sections("source").map { entry in
      let shape = try entry.integers("shape", default: [])
      var count = 1
      for extent in shape {
        let (product, overflow) = count.multipliedReportingOverflow(by: extent)
        guard extent >= 0, !overflow, product <= 1 << 48 else {
          throw ConstructionError(
            .damagedSource, "\(entry.path): no tensor has the shape \(shape)")
        }
        count = product
      }
      var read = Entry(
        name: try entry.string("name"), elementType: try Self.named("dtype", entry), shape: shape,
        sha256: try entry.string("sha256"), keptSHA256: try entry.optionalString("kept_sha256"),
        rewrittenSHA256: try entry.optionalString("rewritten_sha256"))
      if let copies = try entry.optionalSection("head_copies") {
        read.copies = HeadCopies(
          rows: try copies.positive("rows"), times: try copies.positive("times"))
      }
      return read
    }
    creation = try file.optionalSection("creation").map { try Creation($0) }
    let seed = try file.optionalString("redraw_seed").map { text in
      guard let seed = UInt64(text) else {
        throw ConstructionError(.damagedSource, "\(file.path): \"\(text)\" is no redraw_seed")
      }
      return seed
    }
    var redraw = seed.map { Redraw(seed: $0, normals: [:]) }
    splits = try file.sections("layers").enumerated().map { index, layer -> NeuronSplit? in
      if try layer.bool("dense", default: false) { return nil }
      if let geometry = shape?.block.geometry, geometry.form == .copied {
        let (split, normals) = try Self.copies(layer, geometry)
        guard split.redrawn.isEmpty == (redraw == nil) else {
          throw ConstructionError(
            .damagedSource, "\(layer.path): redrawn neurons and redraw_seed belong together")
        }
        redraw?.normals[index] = normals
        return split
      }
      let shared = try layer.integers("shared", default: []).map(Self.neuron)
      guard let lists = layer["experts"]?.array else {
        throw ConstructionError(.damagedSource, "\(layer.path): \"experts\" is missing")
      }
      let experts = try lists.map { list in
        try (list.array ?? []).map { try Self.neuron($0.int ?? -1) }
      }
      guard let shape else {
        throw ConstructionError(.damagedSource, "\(layer.path): \"mlp\" is missing")
      }
      return try NeuronSplit(
        shared: shared, experts: experts, geometry: Self.geometry(shape, shared: shared.count))
    }
    self.redraw = redraw
  }

  /// A layer of copies, and what their new neurons were drawn from.
  private static func copies(
    _ layer: ConfigurationFile, _ geometry: SplitGeometry
  ) throws -> (NeuronSplit, [[Projection: NormalDistribution]]) {
    guard try layer.integer("copies") == geometry.experts else {
      throw ConstructionError(
        .damagedSource, "\(layer.path): the copies are not as many as the experts")
    }
    let redrawn = try layer.contains("redrawn") ? layer.sections("redrawn") : []
    let split = try NeuronSplit(
      copying: geometry,
      redrawn: redrawn.map { try $0.integers("neurons", default: []).map(Self.neuron) })
    let normals = try redrawn.map { expert in
      var normals: [Projection: NormalDistribution] = [:]
      for projection in Projection.allCases {
        let normal = try expert.section(projection.rawValue)
        normals[projection] = NormalDistribution(
          mean: try normal.double("mean"), deviation: try normal.double("deviation"))
      }
      return normals
    }
    return (split, normals)
  }

  private static func block(_ mlp: ConfigurationFile) throws -> MixtureBlock {
    let geometry = try SplitGeometry(
      width: mlp.positive("width"), experts: mlp.positive("experts"), topK: mlp.positive("top_k"),
      shared: mlp.integer("shared"),
      form: mlp.contains("form") ? named("form", mlp) : .partition)
    return MixtureBlock(
      geometry: geometry, rule: try named("rule", mlp), scale: try mlp.double("scale"),
      hasRouterBias: try mlp.bool("router_bias", default: false),
      routerKind: try mlp.contains("router_kind") ? named("router_kind", mlp) : .linear,
      routerRank: try mlp.integer("router_rank", default: 1),
      hasOutputBias: try mlp.bool("output_bias", default: false))
  }

  private static func neuron(_ value: Int) throws -> Int32 {
    guard let id = Int32(exactly: value) else {
      throw ConstructionError(.damagedSource, "neuron \(value) does not exist")
    }
    return id
  }

  private static func named<Value: RawRepresentable<String>>(
    _ key: String, _ file: ConfigurationFile
  ) throws -> Value {
    let name = try file.string(key)
    guard let value = Value(rawValue: name) else {
      throw ConstructionError(.damagedSource, "\(file.path): unknown \(key) \"\(name)\"")
    }
    return value
  }
}
