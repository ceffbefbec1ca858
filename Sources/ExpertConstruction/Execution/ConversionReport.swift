import Formats

/// What a conversion did and how it was proved.
public struct ConversionReport: Sendable {
  /// The folder written.
  public let path: String
  /// The account of every byte.
  public let ledger: ByteLedger
  /// Per layer, the largest difference between the written layer with all experts and the dense one.
  public let layerErrors: [Double]
  /// Per layer, the largest dense output on the same inputs.
  public let layerMagnitudes: [Double]
  /// Per layer, the share of the dense MLP's output that the mixture missed on the calibration text
  /// before recovery and after it; empty without recovery.
  public let missedShares: [(before: Double, after: Double)]
  /// The same differences of attention with all its experts; empty where attention is dense.
  public let attentionErrors: [Double]
  /// Per layer, what the largest dense attention adds on the same inputs.
  public let attentionMagnitudes: [Double]
  /// Per layer, how concentrated the importance of neurons is; empty where no activations were
  /// recorded.
  public let importance: [ImportanceConcentration]
  /// The stock formats that can still hold the model after training.
  public let formatsAfterTraining: [OutputFormat]
  private let settings: ConversionSettings
  private let notes: [String]
  private let attention: AttentionPlan?

  init(
    path: String, ledger: ByteLedger, findings: [LayerProof.Finding],
    missed: [(before: Double, after: Double)], attentionFindings: [LayerProof.Finding],
    importance: [ImportanceConcentration],
    plan: ConversionPlan
  ) {
    self.path = path
    self.ledger = ledger
    layerErrors = findings.map(\.error)
    layerMagnitudes = findings.map(\.magnitude)
    missedShares = missed
    attentionErrors = attentionFindings.map(\.error)
    attentionMagnitudes = attentionFindings.map(\.magnitude)
    self.importance = importance
    attention = plan.attention
    formatsAfterTraining = plan.formatsAfterTraining
    settings = plan.settings
    notes = plan.notes
  }

  /// One line on where the model can go once it is trained.
  public var afterTraining: String {
    formatsAfterTraining.isEmpty
      ? "after training no stock format fits; herd does (weights 1 + p·u or router biases are its "
        + "own)"
      : "after training these stock formats still fit: "
        + formatsAfterTraining.map(\.rawValue).joined(separator: ", ")
  }

  /// The report as a machine-readable object.
  public var json: JSON {
    [
      "path": .string(path), "format": .string(ledger.format.rawValue),
      "construction": .object(settings.provenance),
      "source_digest": .string(ledger.sourceDigest),
      "source_tensors": JSON(ledger.source.count),
      "largest_layer_error": JSON(layerErrors.max() ?? 0),
      "layer_errors": .array(layerErrors.map { JSON($0) }),
      "missed_shares": .array(
        missedShares.map { ["before": JSON($0.before), "after": JSON($0.after)] }),
      "importance": .array(importance.map(\.json)), "attention": attention?.json ?? .null,
      "attention_errors": .array(attentionErrors.map { JSON($0) }),
      "rounding": ledger.rounding.map { .string($0) } ?? .null,
      "formats_after_training": .array(formatsAfterTraining.map { .string($0.rawValue) }),
      "dropped_neurons": JSON(ledger.droppedNeurons),
      "repeated_neurons": JSON(ledger.repeatedNeurons),
      "notes": .array(notes.map { .string($0) }),
    ]
  }

  private var sharedList: String? {
    settings.sharedPerLayer.map { $0.map { "\($0)" }.joined(separator: ", ") }
  }

  private var rows: [String] {
    var rows: [String] = []
    if let block = ledger.shape?.block {
      let geometry = block.geometry
      if geometry.form == .pruned {
        rows += [
          "| MLP width | \(geometry.activeWidth) of \(geometry.width) neurons |",
          "| strategy | \(settings.strategy.rawValue) |",
        ]
      } else {
        rows += [
          "| routed experts | \(geometry.experts) of \(geometry.expertWidth) neurons, "
            + "top-\(geometry.topK) |",
          "| shared units | \(sharedList ?? "\(geometry.shared)") |",
          "| strategy, router | \(settings.strategy.rawValue), \(settings.router.rawValue) |",
          "| combination | \(block.rule.rawValue), scale \(block.scale) |",
        ]
      }
    }
    if !settings.keepDense.isEmpty {
      rows.append("| dense MLPs | layers \(ByteLedger.ranges(settings.keepDense.sorted())) |")
    }
    if settings.recovery != .none {
      rows.append("| recovery | \(settings.recovery.rawValue) |")
    }
    if let note = ledger.neuronNote { rows.append("| neurons | \(note) |") }
    if let attention {
      rows.append("| attention | \(attention.strategy.rawValue): \(attention.summary) |")
    }
    return rows
  }

  /// The `README.md` of the written folder.
  var modelCard: String {
    let elements = ledger.source.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let isPruned = ledger.shape?.block.geometry.form == .pruned
    let rewritten = ledger.source.count { $0.rewrittenSHA256 != nil }
    let account =
      rewritten > 0
      ? "Every element of the dense checkpoint is used exactly once, but for \(rewritten) down "
        + "projections, which recovery refitted."
      : ledger.neuronNote == nil
        ? "Every element of the dense checkpoint is used exactly once."
        : "Every element of the dense checkpoint outside the MLPs is used exactly once; of the MLPs' "
          + (ledger.shape?.block.geometry.form == .copied
            ? "neurons each expert has copies, as the table says."
            : "neurons some are left out or used more than once, as the table says.")
    return """
      ---
      library_name: \(ledger.format == .herd ? "herd" : "transformers")
      tags: [\(isPruned ? "pruned" : "mixture-of-experts"), llama]
      ---
      # \(isPruned ? "A narrower model" : "Mixture of experts") from a dense checkpoint

      Converted by herd without training. \(account)

      | | |
      |---|---|
      \(rows.joined(separator: "\n"))
      | seed | \(settings.seed) |
      | source tensors, elements | \(ledger.source.count), \(elements) |
      | source digest (SHA-256) | `\(ledger.sourceDigest)` |
      | largest error of a layer, all experts | \((layerErrors + attentionErrors).max() ?? 0) |
      | rounding | \(ledger.rounding ?? "none") |

      The digests of all source tensors and the places of all neurons are in \
      `\(ByteLedger.fileName)`.

      """
  }
}
