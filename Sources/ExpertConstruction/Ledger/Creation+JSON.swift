import Formats

extension ByteLedger.Creation {
  /// The part of the ledger that ``init(_:)`` reads back.
  var json: JSON {
    [
      "seed": JSON("\(seed)"),
      "tensors": .array(
        tensors.map { created in
          let tensor = created.parameter.tensor
          var entry: JSONObject = [
            "name": JSON(tensor.name), "dtype": JSON(tensor.elementType.rawValue),
            "shape": .array(tensor.shape.map { JSON($0) }), "sha256": JSON(created.sha256),
          ]
          if case .normal(let deviation) = created.parameter.values {
            entry["deviation"] = JSON(deviation)
          }
          return .object(entry)
        }),
    ]
  }

  init(_ section: ConfigurationFile) throws {
    let text = try section.string("seed")
    guard let seed = UInt64(text) else {
      throw ConstructionError(.damagedSource, "\(section.path): \"\(text)\" is no seed")
    }
    self.seed = seed
    tensors = try section.sections("tensors").map { entry in
      let (name, type) = (try entry.string("name"), try entry.string("dtype"))
      let shape = try entry.integers("shape", default: [])
      let count = shape.reduce(1) { (product: Int?, extent: Int) -> Int? in
        guard let product, extent >= 0 else { return nil }
        let (next, overflow) = product.multipliedReportingOverflow(by: extent)
        return overflow || next > 1 << 36 ? nil : next
      }
      guard let type = ElementType(rawValue: type), [.bf16, .f16, .f32].contains(type),
        count != nil
      else {
        throw ConstructionError(
          .damagedSource, "\(entry.path): \(name) \(shape) of \(type) was not made by herd")
      }
      let deviation = try entry.optionalDouble("deviation")
      return ByteLedger.Created(
        NewParameter(
          tensor: TensorDeclaration(name: name, elementType: type, shape: shape),
          values: deviation.map { .normal(deviation: $0) } ?? .ones),
        sha256: try entry.string("sha256"))
    }
  }
}
