import Numerics

extension TrialSettings {
  /// The mean loss of a model folder on the held-out text.
  func loss(of folder: String, text: SharedWork, in context: Context) throws -> Double {
    let evaluation = CheckpointEvaluation(
      checkpoint: folder, data: evaluation.isEmpty ? data : evaluation,
      settings: .init(
        window: window, windows: windows, separatesDocuments: separatesDocuments))
    return try evaluation.run(in: context, shared: text, progress: { _ in }).scores.mean
  }
}
