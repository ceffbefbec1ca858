import Formats
import Models
import Numerics

/// Calibration text run through the dense model one block at a time.
///
/// Only the residual stream of the text and the weights of one block are in memory.
public final class DenseCalibration: CalibrationSource {
  /// One batch of documents.
  private struct Batch {
    let layout: SequenceLayout
    /// Before a block's mixer, or after it while that block's inputs are being read.
    var residual_TD: Tensor
  }

  /// Tokens in all batches together.
  public let tokens: Int
  private let segments: [CalibrationSegment]
  private let loader: ModelLoader
  private let context: Context
  private var batches: [Batch] = []
  private var current: (index: Int, block: Block)?
  /// Whether the text has passed the current block's mixer.
  private var isMixed = false

  /// - Parameters:
  ///   - loader: The dense checkpoint.
  ///   - documents: Token ids; texts do not see each other.
  ///   - domains: The kind of each document; one kind unless given.
  ///   - batchTokens: Tokens run through a block at a time, at least one document.
  /// - Throws: ``ConstructionError`` when there is no text or a token is not in the vocabulary.
  public init(
    _ loader: ModelLoader, documents: [[Int32]], domains: [Int] = [], batchTokens: Int = 2048,
    context: Context
  ) throws {
    self.loader = loader
    self.context = context
    let texts = documents.filter { !$0.isEmpty }
    tokens = texts.reduce(0) { $0 + $1.count }
    segments = documents.enumerated().filter { !$0.element.isEmpty }.map { index, text in
      CalibrationSegment(
        tokens: text.count, domain: index < domains.count ? domains[index] : 0)
    }
    try CalibrationDocument.check(
      texts.joined(), vocabulary: loader.layout.configuration.vocabularySize)
    var pending: [[Int32]] = []
    var count = 0
    for (index, text) in texts.enumerated() {
      pending.append(text)
      count += text.count
      if count >= batchTokens || index == texts.count - 1 {
        let layout = SequenceLayout(documentLengths: pending.map(\.count), in: context)
        batches.append(
          Batch(
            layout: layout,
            residual_TD: try loader.embedding(
              of: pending.flatMap { $0 }, layout: layout, in: context)))
        (pending, count) = ([], 0)
      }
    }
  }

  public func inputs(ofLayer index: Int) throws -> any LayerInputs {
    let block = try block(index)
    mix()
    return BlockInputs(
      block: block, mixed: batches.map(\.residual_TD), tokens: tokens, segments: segments,
      context: context)
  }

  public func attentionInputs(ofLayer index: Int) throws -> any AttentionInputs {
    let block = try block(index)
    precondition(!isMixed, "layer \(index)'s attention has passed")
    return HeadInputs(
      block: block, batches: batches.map { ($0.residual_TD, $0.layout) }, tokens: tokens,
      context: context)
  }

  /// The block of layer `index`, with the text before it.
  private func block(_ index: Int) throws -> Block {
    if let current, current.index == index { return current.block }
    // Layers that nobody asked for are passed through.
    let next = (current?.index ?? -1) + 1
    precondition(index >= next, "layer \(index) was asked for where \(next) comes next")
    for index in next..<index { _ = try advance(to: index) }
    return try advance(to: index)
  }

  /// Takes the text through the current block and loads the next one, which has number `index`.
  private func advance(to index: Int) throws -> Block {
    if let previous = current?.block {
      mix()
      for position in batches.indices {
        batches[position].residual_TD =
          previous.feedForward(batches[position].residual_TD, in: context).output
      }
    }
    // The previous block's weights go before the next one's come.
    current = nil
    let block = try loader.block(index, in: context)
    current = (index, block)
    isMixed = false
    return block
  }

  /// Takes the text through the current block's mixer, once.
  private func mix() {
    guard let block = current?.block, !isMixed else { return }
    for position in batches.indices {
      batches[position].residual_TD =
        block.mix(
          batches[position].residual_TD, layout: batches[position].layout, in: context
        ).output
    }
    isMixed = true
  }
}

/// What one block's MLP sees of a residual stream that has passed its mixer.
private struct BlockInputs: LayerInputs {
  let block: Block
  let mixed: [Tensor]
  let tokens: Int
  let segments: [CalibrationSegment]
  let context: Context

  func forEachBatch(_ body: (_ x_TD: Tensor) throws -> Void) throws {
    for mixed_TD in mixed { try body(block.mlpInput(mixed_TD, in: context)) }
  }
}

/// What one block's heads make of a residual stream that comes to its mixer.
private struct HeadInputs: AttentionInputs {
  let block: Block
  let batches: [(residual_TD: Tensor, layout: SequenceLayout)]
  let tokens: Int
  let context: Context

  func forEachBatch(_ body: (_ input_TD: Tensor, _ heads_TC: Tensor) throws -> Void) throws {
    for batch in batches {
      guard
        let (input, heads) = block.attentionHeads(
          batch.residual_TD, layout: batch.layout, in: context)
      else {
        throw ConstructionError(.refused, "the source's attention is a mixture already")
      }
      try body(input, heads)
    }
  }
}
