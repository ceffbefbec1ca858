import Models
import Numerics

/// Work that several runs of one process need, done once: the dense model's weights, read text.
///
/// What is kept stays in memory, so a single run, which needs most things once, keeps nothing. One
/// thread uses it; runs on other threads have one of their own with what is bound to no device in
/// common (``beside()``).
final class SharedWork {
  /// Values and what is being made, by key.
  private struct Common {
    var values: [String: any Sendable] = [:]
    var making: Set<String> = []
  }

  private let isKept: Bool
  private let common: Monitor<Common>
  private var own: [String: Any] = [:]

  /// - Parameter isKept: Whether results are kept for later.
  convenience init(isKept: Bool = false) { self.init(isKept, Monitor(Common())) }

  private init(_ isKept: Bool, _ common: Monitor<Common>) {
    self.isKept = isKept
    self.common = common
  }

  /// The same for a thread of its own with contexts of its own.
  func beside() -> SharedWork { SharedWork(isKept, common) }

  /// What `make` gives for `key`, bound to no device; made once where results are kept, while other
  /// threads that need it wait.
  func once<Value: Sendable>(_ key: String, _ make: () throws -> Value) throws -> Value {
    guard isKept else { return try make() }
    let known: Value? = common.wait {
      if let value = $0.values[key] as? Value { return .some(value) }
      guard $0.making.insert(key).inserted else { return nil }
      return .some(nil)
    }
    if let known { return known }
    let made = Result { try make() }
    return try common.withLock {
      $0.making.remove(key)
      $0.values[key] = try made.get()
      return try made.get()
    }
  }

  /// The context of conversions, which compute in full precision whatever training does.
  func fullPrecision(of device: Device) throws -> Context {
    try once(onThisThread: "full precision") { try Context(device: device.inFullPrecision) }
  }

  /// The model of a checkpoint folder whose weights nobody changes.
  func model(_ folder: String, dtype: DType, in context: Context) throws -> LanguageModel {
    let key = "model \(folder) \(dtype.rawValue) \(ObjectIdentifier(context).hashValue)"
    return try once(onThisThread: key) {
      try ModelFolder(folder).loader.model(dtype: dtype, in: context)
    }
  }

  /// The same for what belongs to a context.
  private func once<Value>(onThisThread key: String, _ make: () throws -> Value) throws -> Value {
    if let value = own[key] as? Value { return value }
    let value = try make()
    if isKept { own[key] = value }
    return value
  }
}
