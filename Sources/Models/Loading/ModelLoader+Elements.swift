import Formats

/// Parameters as the files store them, whatever the format, for work that computes nothing.
extension ModelLoader {
  /// Whether the files hold a parameter of this name.
  public func holds(_ parameter: String) -> Bool { parts[parameter] != nil }

  /// The element type in which a parameter is stored.
  /// - Throws: ``ModelError`` when no tensor holds it.
  public func storedType(of parameter: String) throws -> ElementType {
    guard let piece = parts[parameter]?.first else {
      throw ModelError(
        "\(checkpoint.folder): parameter \(parameter) is not covered by the checkpoint")
    }
    return try checkpoint.tensor(piece.tensor).elementType
  }

  /// Copies elements of a parameter as they are stored.
  ///
  /// - Parameters:
  ///   - parameter: Its name.
  ///   - elements: Which elements, counted in row-major order.
  ///   - buffer: As many bytes as the elements have.
  public func read(
    _ parameter: String, _ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    let type = try storedType(of: parameter)
    let size = type.bitWidth / 8
    precondition(buffer.count == elements.count * size)
    let pieces = parts[parameter] ?? []
    var index = pieces.firstIndex(covering: elements.lowerBound)
    var done = elements.lowerBound
    while done < elements.upperBound {
      guard index < pieces.count, pieces[index].offset <= done else {
        throw ModelError(
          "\(checkpoint.folder): element \(done) of \(parameter) is not covered by the checkpoint")
      }
      let piece = pieces[index]
      guard try checkpoint.tensor(piece.tensor).elementType == type else {
        throw ModelError(
          "\(checkpoint.folder): the tensors of \(parameter) have different dtypes; write them in one"
        )
      }
      let end = min(piece.offset + piece.count, elements.upperBound)
      let first = piece.fileOffset + done - piece.offset
      try checkpoint.read(
        piece.tensor, bytes: first * size..<(first + end - done) * size,
        into: UnsafeMutableRawBufferPointer(
          rebasing: buffer[
            (done - elements.lowerBound) * size..<(end - elements.lowerBound) * size]))
      done = end
      index += 1
    }
  }
}

extension [ModelLoader.Piece] {
  /// The piece that holds `element`, or the end.
  fileprivate func firstIndex(covering element: Int) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle].offset + self[middle].count > element {
        high = middle
      } else {
        low = middle + 1
      }
    }
    return low
  }
}
