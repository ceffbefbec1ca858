import CKernels
import Glibc

extension CPUBackend {
  package func allocate(_ shape: [Int], _ dtype: DType) -> Storage {
    allocator.allocate(
      byteCount: shape.reduce(1, *) * dtype.byteCount, for: "a \(dtype) tensor of shape \(shape)")
  }

  package var memory: MemoryStatistics { allocator.statistics }

  package func seconds(_ body: () -> Void) -> Double {
    let time = ContinuousClock().measure(body).components
    return Double(time.seconds) + Double(time.attoseconds) * 1e-18
  }

  package func startPoisoning() { allocator.startPoisoning() }

  package func trim() { allocator.trim() }

  package func fillZero(_ tensor: Tensor) { memset(tensor.pointer, 0, tensor.byteCount) }

  package func copy(_ source: Tensor, into destination: Tensor) {
    precondition(source.byteCount == destination.byteCount && source.dtype == destination.dtype)
    memcpy(destination.pointer, source.pointer, source.byteCount)
  }

  package func upload(_ bytes: UnsafeRawBufferPointer, into tensor: Tensor) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return }
    memcpy(tensor.pointer, base, bytes.count)
  }

  package func upload(_ values: [Float], into tensor: Tensor) {
    values.withUnsafeBufferPointer { source in
      guard let base = source.baseAddress else { return }
      switch tensor.dtype {
      case .f32: memcpy(tensor.pointer, base, tensor.byteCount)
      case .f64:
        let target = tensor.pointer.assumingMemoryBound(to: Double.self)
        for i in source.indices { target[i] = Double(base[i]) }
      case .i32:
        for i in source.indices { tensor.integers[i] = Int32(base[i]) }
      case .u8:
        for i in source.indices { tensor.bytes[i] = UInt8(base[i]) }
      case .bf16, .f16:
        let target = tensor.pointer.assumingMemoryBound(to: UInt16.self)
        kernels(.f32).narrow(tensor.dtype.half ?? HK_BF16, base, target, source.count)
      }
    }
  }

  package func upload(_ values: [Double], into tensor: Tensor) {
    if tensor.dtype == .f64 {
      values.withUnsafeBytes { upload($0, into: tensor) }
    } else {
      upload(values.map(Float.init), into: tensor)
    }
  }

  package func download(_ tensor: Tensor, into destination: UnsafeMutableRawBufferPointer) {
    guard let base = destination.baseAddress, tensor.byteCount > 0 else { return }
    precondition(destination.count >= tensor.byteCount)
    memcpy(base, tensor.pointer, tensor.byteCount)
  }

  package func downloadFloats(_ tensor: Tensor) -> [Float] {
    [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
      count = tensor.count
      guard let base = buffer.baseAddress, count > 0 else { return }
      switch tensor.dtype {
      case .f32: memcpy(base, tensor.pointer, tensor.byteCount)
      case .f64:
        let source = tensor.pointer.assumingMemoryBound(to: Double.self)
        for i in 0..<count { base[i] = Float(source[i]) }
      case .i32:
        for i in 0..<count { base[i] = Float(tensor.integers[i]) }
      case .u8:
        for i in 0..<count { base[i] = Float(tensor.bytes[i]) }
      case .bf16, .f16:
        let source = tensor.pointer.assumingMemoryBound(to: UInt16.self)
        kernels(.f32).widen(tensor.dtype.half ?? HK_BF16, source, base, count)
      }
    }
  }

  package func downloadDoubles(_ tensor: Tensor) -> [Double] {
    guard tensor.dtype == .f64 else { return downloadFloats(tensor).map(Double.init) }
    return [Double](unsafeUninitializedCapacity: tensor.count) { buffer, count in
      download(tensor, into: UnsafeMutableRawBufferPointer(buffer))
      count = tensor.count
    }
  }
}
