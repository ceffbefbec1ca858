import Glibc

/// Moves neurons between a dense matrix and an expert's, element by element whatever its size.
///
/// `neurons[i]` of the dense matrix is neuron `i` of the expert's.
enum NeuronGather {
  /// Copies neurons of a dense matrix of `width` neurons into an expert's, rows or, of a down
  /// projection, columns.
  static func gather(
    _ neurons: [Int32], of projection: Projection, width: Int, hidden: Int, elementSize: Int,
    from dense: UnsafeRawBufferPointer, into expert: UnsafeMutableRawBufferPointer
  ) {
    if projection == .down {
      columns(neurons, width: width, elementSize: elementSize, from: dense, into: expert)
    } else {
      rows(neurons, rowBytes: hidden * elementSize, from: dense, into: expert)
    }
  }

  /// The inverse of ``gather(_:of:width:hidden:elementSize:from:into:)``.
  static func scatter(
    _ neurons: [Int32], of projection: Projection, width: Int, hidden: Int, elementSize: Int,
    from expert: UnsafeRawBufferPointer, into dense: UnsafeMutableRawBufferPointer
  ) {
    if projection == .down {
      scatterColumns(neurons, width: width, elementSize: elementSize, from: expert, into: dense)
    } else {
      scatterRows(neurons, rowBytes: hidden * elementSize, from: expert, into: dense)
    }
  }

  /// Copies rows of `dense` into `expert`, `[neurons, rowBytes]`.
  static func rows(
    _ neurons: [Int32], rowBytes: Int, from dense: UnsafeRawBufferPointer,
    into expert: UnsafeMutableRawBufferPointer
  ) {
    precondition(expert.count == neurons.count * rowBytes)
    guard let source = dense.baseAddress, let target = expert.baseAddress else { return }
    for (index, neuron) in neurons.enumerated() {
      precondition((Int(neuron) + 1) * rowBytes <= dense.count)
      memcpy(target + index * rowBytes, source + Int(neuron) * rowBytes, rowBytes)
    }
  }

  /// The inverse of ``rows(_:rowBytes:from:into:)``.
  static func scatterRows(
    _ neurons: [Int32], rowBytes: Int, from expert: UnsafeRawBufferPointer,
    into dense: UnsafeMutableRawBufferPointer
  ) {
    precondition(expert.count == neurons.count * rowBytes)
    guard let source = expert.baseAddress, let target = dense.baseAddress else { return }
    for (index, neuron) in neurons.enumerated() {
      precondition((Int(neuron) + 1) * rowBytes <= dense.count)
      memcpy(target + Int(neuron) * rowBytes, source + index * rowBytes, rowBytes)
    }
  }

  /// Copies columns of `dense`, `[rows, width]`, into `expert`, `[rows, neurons]`.
  static func columns(
    _ neurons: [Int32], width: Int, elementSize: Int, from dense: UnsafeRawBufferPointer,
    into expert: UnsafeMutableRawBufferPointer
  ) {
    let rows = checkColumns(neurons, width, elementSize, dense: dense.count, expert: expert.count)
    guard let source = dense.baseAddress, let target = expert.baseAddress else { return }
    switch elementSize {
    case 2: gather(neurons, width, rows, source, target, as: UInt16.self)
    case 4: gather(neurons, width, rows, source, target, as: UInt32.self)
    default:
      for row in 0..<rows {
        for (index, neuron) in neurons.enumerated() {
          memcpy(
            target + (row * neurons.count + index) * elementSize,
            source + (row * width + Int(neuron)) * elementSize, elementSize)
        }
      }
    }
  }

  /// The inverse of ``columns(_:width:elementSize:from:into:)``.
  static func scatterColumns(
    _ neurons: [Int32], width: Int, elementSize: Int, from expert: UnsafeRawBufferPointer,
    into dense: UnsafeMutableRawBufferPointer
  ) {
    let rows = checkColumns(neurons, width, elementSize, dense: dense.count, expert: expert.count)
    guard let source = expert.baseAddress, let target = dense.baseAddress else { return }
    for row in 0..<rows {
      for (index, neuron) in neurons.enumerated() {
        memcpy(
          target + (row * width + Int(neuron)) * elementSize,
          source + (row * neurons.count + index) * elementSize, elementSize)
      }
    }
  }

  private static func checkColumns(
    _ neurons: [Int32], _ width: Int, _ elementSize: Int, dense: Int, expert: Int
  ) -> Int {
    guard width > 0, elementSize > 0, !neurons.isEmpty else { return 0 }
    let rows = dense / (width * elementSize)
    precondition(dense == rows * width * elementSize)
    precondition(expert == rows * neurons.count * elementSize)
    precondition(neurons.allSatisfy { $0 >= 0 && Int($0) < width })
    return rows
  }

  private static func gather<Element: FixedWidthInteger>(
    _ neurons: [Int32], _ width: Int, _ rows: Int, _ dense: UnsafeRawPointer,
    _ expert: UnsafeMutableRawPointer, as type: Element.Type
  ) {
    neurons.withUnsafeBufferPointer { ids in
      for row in 0..<rows {
        let source = (dense + row * width * MemoryLayout<Element>.size)
          .assumingMemoryBound(to: type)
        let target = (expert + row * ids.count * MemoryLayout<Element>.size)
          .assumingMemoryBound(to: type)
        for index in 0..<ids.count { target[index] = source[Int(ids[index])] }
      }
    }
  }
}
