import Models
import Numerics

/// Work that several runs of one process need, done once: the dense model's weights, read text.
///
/// What is kept stays in memory, so a single run, which needs most things once, keeps nothing.
final class SharedWork {
  private let isKept: Bool
  private var values: [String: Any] = [:]

  /// - Parameter isKept: Whether results are kept for later.
  init(isKept: Bool = false) { self.isKept = isKept }

  /// What `make` gives for `key`; made once where results are kept.
  func once<Value>(_ key: String, _ make: () throws -> Value) rethrows -> Value {
    if let value = values[key] as? Value { return value }
    let value = try make()
    if isKept { values[key] = value }
    return value
  }

  /// The model of a checkpoint folder whose weights nobody changes.
  func model(_ folder: String, dtype: DType, in context: Context) throws -> LanguageModel {
    try once("model \(folder) \(dtype.rawValue) \(ObjectIdentifier(context).hashValue)") {
      try ModelFolder(folder).loader.model(dtype: dtype, in: context)
    }
  }
}
