import Numerics

extension ModelLoader {
  /// The embedding of documents, read row by row: of a large vocabulary a text uses little.
  ///
  /// - Parameters:
  ///   - ids_T: Token ids of the vocabulary.
  ///   - layout: The documents they are.
  /// - Returns: The residual stream before the first block, `[T, D]`, `f32`.
  /// - Throws: ``ModelError`` when a token is not in the vocabulary, or a row missing or not finite.
  public func embedding(of ids_T: [Int32], layout documents: SequenceLayout, in context: Context)
    throws -> Tensor
  {
    let name = ParameterName.embedding
    let (rows, width) = (layout.configuration.vocabularySize, layout.configuration.hiddenSize)
    let used = Set(ids_T).sorted()
    if let id = used.first(where: { !(0..<rows ~= Int($0)) }) {
      throw ModelError("token \(id) is not in the model's vocabulary of \(rows)")
    }
    guard let stored = DType(try storedType(of: name)) else {
      throw ModelError(
        "\(checkpoint.folder): \(name) has an element type herd does not compute with")
    }
    let rowBytes = width * stored.byteCount
    let bytes = UnsafeMutableRawBufferPointer.allocate(
      byteCount: used.count * rowBytes, alignment: 64)
    defer { bytes.deallocate() }
    for (row, id) in used.enumerated() {
      try read(
        name, Int(id) * width..<(Int(id) + 1) * width,
        into: UnsafeMutableRawBufferPointer(
          rebasing: bytes[row * rowBytes..<(row + 1) * rowBytes]))
    }
    if let index = firstNonFinite(UnsafeRawBufferPointer(bytes), stored) {
      throw ModelError(
        "\(checkpoint.folder): \(name) holds NaN or infinity in the row of token \(used[index / width]); the checkpoint is damaged"
      )
    }
    let table_UD = context.cast(
      context.tensor(bytes: UnsafeRawBufferPointer(bytes), [used.count, width], stored), to: .f32)
    let rowOf = Dictionary(uniqueKeysWithValues: used.enumerated().map { ($1, Int32($0)) })
    let rows_TD = context.embedding(
      context.tensor(ids_T.map { rowOf[$0] ?? 0 }, [ids_T.count]), weight: table_UD)
    let x_TD = context.scaled(rows_TD, by: layout.configuration.embeddingScale)
    guard let heads = layout.configuration.positionEncodingHeads else { return x_TD }
    let store = ParameterStore(
      try layout.configuration.positionEncodingBindings.map {
        try parameter(named: $0.tensor, in: context)
      }, computeType: .f32)
    let encoding = try TokenPositionEncoding(
      heads: heads, epsilon: layout.configuration.normEpsilon, store: store)
    return encoding(x_TD, layout: documents, state: nil, in: context)
  }
}
