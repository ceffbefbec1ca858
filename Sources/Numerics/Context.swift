/// Where operations run and whether they are recorded.
///
/// Operations are methods of a context, one file each under `Ops/`. Without recording
/// (``recording(_:)``) they only compute; inside it they also note what backward needs.
public final class Context {
  package let backend: any Backend
  package var tape: Tape?
  /// While a checkpointed block runs forward: the parameter slots it touched.
  package var touchedSlots: [ObjectIdentifier: GradientSlot]?
  /// Called during backward as soon as a parameter's gradient is complete.
  public var onGradientReady: ((Parameter) -> Void)?

  /// A context on `device`.
  /// - Throws: ``DeviceError`` when the device cannot be used.
  public init(device: Device = .cpu()) throws(DeviceError) {
    backend = try device.makeBackend()
  }

  /// A context whose new tensors hold no numbers until they are written, for tests.
  ///
  /// - Parameter multiprocessors: How many of a GPU kernels spread over; all unless given.
  package convenience init(
    device: Device, poisoned: Bool, multiprocessors: Int? = nil
  ) throws(DeviceError) {
    self.init(backend: try device.makeBackend(multiprocessors: multiprocessors))
    if poisoned { backend.startPoisoning() }
  }

  package init(backend: any Backend) { self.backend = backend }

  /// What the device is, for logs and reports.
  public var deviceDescription: DeviceDescription { backend.description }

  /// Threads of the host that work beside the device, or are it.
  package var hostThreads: Int { backend.hostPool.threads }

  /// The element type of activations that come from parameters of type `dtype`.
  public func activationType(for dtype: DType) -> DType {
    dtype == .f64 ? .f64 : backend.activationType
  }

  // MARK: - Making tensors

  /// A tensor with undefined contents.
  public func empty(_ shape: [Int], _ dtype: DType = .f32) -> Tensor {
    Tensor(shape: shape, dtype: dtype, storage: backend.allocate(shape, dtype))
  }

  /// A tensor of zeros.
  public func zeros(_ shape: [Int], _ dtype: DType = .f32) -> Tensor {
    let tensor = empty(shape, dtype)
    backend.fillZero(tensor)
    return tensor
  }

  /// A tensor with the given values, converted to `dtype`.
  public func tensor(_ values: [Float], _ shape: [Int], _ dtype: DType = .f32) -> Tensor {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for \(shape)")
    let tensor = empty(shape, dtype)
    backend.upload(values, into: tensor)
    return tensor
  }

  /// A tensor with the given values, converted to `dtype`.
  public func tensor(_ values: [Double], _ shape: [Int], _ dtype: DType = .f64) -> Tensor {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for \(shape)")
    let tensor = empty(shape, dtype)
    backend.upload(values, into: tensor)
    return tensor
  }

  /// A tensor of 32-bit integers.
  public func tensor(_ values: [Int32], _ shape: [Int]) -> Tensor {
    precondition(values.count == shape.reduce(1, *), "\(values.count) values for \(shape)")
    let tensor = empty(shape, .i32)
    values.withUnsafeBytes { backend.upload($0, into: tensor) }
    return tensor
  }

  /// A tensor over raw little-endian bytes of its element type.
  public func tensor(bytes: UnsafeRawBufferPointer, _ shape: [Int], _ dtype: DType) -> Tensor {
    let tensor = empty(shape, dtype)
    precondition(bytes.count == tensor.byteCount, "\(bytes.count) bytes for \(shape) \(dtype)")
    backend.upload(bytes, into: tensor)
    return tensor
  }

  // MARK: - Reading (waits)

  /// The values as `Float`, whatever the element type. Waits for pending work.
  public func read(_ tensor: Tensor) -> [Float] { backend.downloadFloats(tensor) }

  /// The values as `Double`. Waits for pending work.
  public func readDoubles(_ tensor: Tensor) -> [Double] { backend.downloadDoubles(tensor) }

  /// The values of an `i32` tensor. Waits for pending work.
  public func readIntegers(_ tensor: Tensor) -> [Int32] {
    precondition(tensor.dtype == .i32)
    return [Int32](unsafeUninitializedCapacity: tensor.count) { buffer, count in
      backend.download(tensor, into: UnsafeMutableRawBufferPointer(buffer))
      count = tensor.count
    }
  }

  /// The raw bytes of a tensor. Waits for pending work.
  public func readBytes(_ tensor: Tensor, into destination: UnsafeMutableRawBufferPointer) {
    backend.download(tensor, into: destination)
  }

  /// The single value of a one-element tensor. Waits for pending work.
  public func readScalar(_ tensor: Tensor) -> Double {
    precondition(tensor.count == 1)
    return backend.downloadDoubles(tensor)[0]
  }

  // MARK: - Recording

  /// Runs `body` with a fresh tape, then backward from the tensor it returns, so that the parameters'
  /// gradients grow. Returns that tensor.
  ///
  /// - Parameter gradient: The gradient with respect to the tensor, of its shape; one, for a scalar,
  ///   unless given.
  @discardableResult
  public func recording(gradient: Tensor? = nil, _ body: () throws -> Tensor) rethrows -> Tensor {
    let outer = tape
    tape = Tape()
    defer { tape = outer }
    let output = try body()
    precondition(
      gradient.map { $0.shape == output.shape } ?? (output.count == 1),
      "backward starts from a scalar or with a gradient, not from \(output.shape) alone")
    backward(from: [(output, gradient ?? ones(like: output))])
    return output.detached()
  }

  /// Runs `body` as outside ``recording(_:)``: nothing it computes has a gradient.
  public func withoutRecording<Result>(_ body: () throws -> Result) rethrows -> Result {
    let outer = tape
    tape = nil
    defer { tape = outer }
    return try body()
  }

  /// Propagates the given output gradients through the current tape and empties it.
  package func backward(from seeds: [(output: Tensor, gradient: Tensor)]) {
    guard let tape else { return }
    self.tape = nil
    for (output, gradient) in seeds {
      if let slot = output.slot { accumulate(gradient, into: slot) }
    }
    tape.runBackward(in: self)
  }

  /// Notes an operation with one output; returns that output with its gradient slot.
  package func record(
    _ output: Tensor, from inputs: [Tensor?], _ node: @autoclosure () -> any TapeNode
  ) -> Tensor {
    record([output], from: inputs, node())[0]
  }

  /// Notes an operation; the outputs returned have gradient slots when any input has one.
  package func record(
    _ outputs: [Tensor], from inputs: [Tensor?], _ node: @autoclosure () -> any TapeNode
  ) -> [Tensor] {
    let slots = inputs.compactMap { $0?.slot }
    if touchedSlots != nil {
      for slot in slots where slot.parameter != nil {
        touchedSlots?[ObjectIdentifier(slot)] = slot
      }
    }
    guard let tape, !slots.isEmpty else { return outputs }
    let outputs = outputs.map { output in
      var output = output
      output.slot = GradientSlot()
      return output
    }
    tape.append(
      node(), outputs: outputs.compactMap { output in output.slot.map { ($0, output.shape) } },
      inputs: slots)
    return outputs
  }

  // MARK: - Gradients

  /// Adds `gradient` to what `slot` holds. In place when nobody else holds that memory.
  package func accumulate(_ gradient: Tensor, into slot: GradientSlot?) {
    guard let slot else { return }
    guard slot.gradient != nil else {
      slot.gradient = gradient.detached()
      return
    }
    if let held = exclusiveGradient(of: slot) {
      backend.add(held, gradient, into: held)
    } else if let held = slot.gradient {
      let sum = empty(held.shape, held.dtype)
      backend.add(held, gradient, into: sum)
      slot.gradient = sum
    }
  }

  /// A buffer a kernel may write a gradient into, and whether it must add to what is there.
  /// After the kernel nothing else is to be done for this slot.
  ///
  /// - Parameter type: The gradient's element type; that of `tensor` unless given. Gradients of
  ///   weights gather in their statistic type, so that sums over passes do not round to 16 bits.
  package func gradientBuffer(
    for slot: GradientSlot, like tensor: Tensor, as type: DType? = nil
  ) -> (Tensor, Bool) {
    if let held = exclusiveGradient(of: slot) { return (held, true) }
    let buffer = empty(tensor.shape, type ?? tensor.dtype)
    if let held = slot.gradient {
      backend.copy(held, into: buffer)
      slot.gradient = buffer
      return (buffer, true)
    }
    slot.gradient = buffer
    return (buffer, false)
  }

  private func exclusiveGradient(of slot: GradientSlot) -> Tensor? {
    // Taken out for the moment of the question, else the slot itself would be a second reference.
    guard var held = slot.gradient.take() else { return nil }
    defer { slot.gradient = held }
    return isKnownUniquelyReferenced(&held.storage) ? held : nil
  }

  private func ones(like tensor: Tensor) -> Tensor {
    self.tensor([Double](repeating: 1, count: tensor.count), tensor.shape, tensor.dtype)
  }
}
