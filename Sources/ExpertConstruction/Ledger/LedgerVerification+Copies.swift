import Formats
import Glibc

/// What was drawn anew in one matrix of a layer of copies.
struct RedrawnLayer {
  let redraw: NeuronRedraw
  /// By expert, what the ledger says the new weights were drawn from.
  let normals: [NormalDistribution]
  /// The dense matrix, where it is at hand.
  let dense: ByteBuffer?

  /// Draws the new neurons of an expert into `matrix`.
  /// - Returns: What the ledger says that the seed or the dense matrix does not; `nil` when all fits.
  func draw(
    _ neurons: [Int32], _ projection: Projection, _ expert: Int, _ shape: MixtureShape,
    into matrix: UnsafeMutableRawBufferPointer
  ) -> String? {
    let (width, hidden, type) = (
      shape.block.geometry.width, shape.hidden, shape.elementType
    )
    guard redraw.neurons(neurons.count, of: width, expert: expert) == neurons else {
      return "of neurons that the seed does not choose"
    }
    guard expert < normals.count else { return "drawn from nothing" }
    if let dense {
      let bytes = UnsafeRawBufferPointer(dense.bytes)
      guard bytes.count == matrix.count,
        NeuronRedraw.normal(
          of: neurons, projection, in: bytes, width: width, hidden: hidden, type)
          == normals[expert]
      else { return "drawn from another distribution" }
    }
    return redraw.apply(
      to: neurons, projection, expert: expert, from: normals[expert], in: matrix, width: width,
      hidden: hidden, type) ? nil : "drawn beyond its type"
  }
}

extension ByteLedger {
  /// What was drawn anew in source tensor `name` of layer `layer`; `nil` where nothing was.
  /// - Parameter checkpoint: The dense checkpoint if at hand, to see what was drawn from.
  func redrawnLayer(
    _ layer: Int, of name: String, in checkpoint: Checkpoint?
  ) throws -> RedrawnLayer? {
    guard let redraw, let normals = redraw.normals[layer], let place = DenseSource.place(of: name)
    else { return nil }
    let dense = try checkpoint.map { checkpoint in
      let buffer = ByteBuffer(try checkpoint.tensor(name).byteCount)
      try checkpoint.read(name, bytes: 0..<buffer.bytes.count, into: buffer.bytes)
      return buffer
    }
    return RedrawnLayer(
      redraw: NeuronRedraw(seed: redraw.seed, layer: layer),
      normals: normals.map {
        $0[place.projection] ?? NormalDistribution(mean: 0, deviation: 0)
      }, dense: dense)
  }
}

extension LedgerVerification {
  /// Puts a dense matrix together from the copies that experts hold of it, with zeros for neurons that
  /// none kept and scales undone.
  ///
  /// Neurons that several experts kept must be the same in all, and those drawn anew must be what the
  /// seed gives.
  /// - Returns: Whether a scale rounded it, and what is wrong with it.
  static func restoreCopies(
    _ projection: Projection, _ split: NeuronSplit, _ shape: MixtureShape, _ layout: LayerLayout,
    _ mixture: Checkpoint, into dense: UnsafeMutableRawBufferPointer, _ layer: RedrawnLayer?
  ) throws -> (isRounded: Bool, problem: String?) {
    let (hidden, width, type) = (shape.hidden, shape.block.geometry.width, shape.elementType)
    func move(
      _ neurons: [Int32], from matrix: UnsafeMutableRawBufferPointer,
      into other: UnsafeMutableRawBufferPointer
    ) {
      let part = ByteBuffer(neurons.count * hidden * type.bitWidth / 8)
      let bytes = part.slice(0..<neurons.count * hidden * type.bitWidth / 8)
      NeuronGather.gather(
        neurons, of: projection, width: width, hidden: hidden, elementSize: type.bitWidth / 8,
        from: UnsafeRawBufferPointer(matrix), into: bytes)
      NeuronGather.scatter(
        neurons, of: projection, width: width, hidden: hidden, elementSize: type.bitWidth / 8,
        from: UnsafeRawBufferPointer(bytes), into: other)
    }
    dense.initializeMemory(as: UInt8.self, repeating: 0)
    var (isRounded, isKnown) = (false, [Bool](repeating: false, count: width))
    let (found, expected) = (ByteBuffer(dense.count), ByteBuffer(dense.count))
    let (bytes, own) = (found.slice(0..<dense.count), expected.slice(0..<dense.count))
    for expert in split.experts.indices {
      guard let place = layout.places[.expert(expert, projection)] else {
        return (isRounded, "without a place")
      }
      try mixture.read(
        place.name, bytes: place.byteOffset..<place.byteOffset + bytes.count, into: bytes)
      if StoredElements.rounding(of: type, by: place.scale) > 0 { isRounded = true }
      if place.scale != 1 {
        _ = StoredElements.multiply(bytes, type, by: Float(1 / place.scale))
      }
      // What the matrix should be: itself, but for what other experts or the seed say.
      own.copyMemory(from: UnsafeRawBufferPointer(bytes))
      let redrawn = split.redrawn(ofExpert: expert)
      if !redrawn.isEmpty, !isRounded {
        guard let layer else { return (isRounded, "drawn from nothing") }
        if let problem = layer.draw(redrawn, projection, expert, shape, into: own) {
          return (isRounded, problem)
        }
      }
      let mask = split.kept(byExpert: expert, width: width)
      let kept = split.experts[expert].filter { mask?[Int($0)] != 0 }
      move(kept.filter { isKnown[Int($0)] }, from: dense, into: own)
      if let own = own.baseAddress, let bytes = bytes.baseAddress,
        memcmp(own, bytes, dense.count) != 0
      {
        return (isRounded, "of copies or draws that differ")
      }
      move(kept.filter { !isKnown[Int($0)] }, from: bytes, into: dense)
      for neuron in kept { isKnown[Int(neuron)] = true }
    }
    return (isRounded, nil)
  }
}
