import Formats
import Glibc
import Models
import Numerics

/// The resume checkpoints of one stage: folders `step-N` of which the newest whole one counts.
///
/// A checkpoint is written into a hidden sibling, brought to the disk and renamed, and only then are
/// older ones removed, so that at every moment a whole one exists once there has been one. The one
/// before the newest is kept too, should a disk lose what it had confirmed. One that cannot be read
/// for a reason outside its bytes, such as missing permission, ends the stage instead of being passed
/// over: it may be whole.
public final class CheckpointStore {
  /// The folder that holds the `step-N` folders, such as `RUN/STAGE/checkpoint`.
  public let folder: String
  private let settings: JSONObject
  private let environment: JSONObject
  private let note: (String) -> Void
  /// The step of the newest checkpoint known to be whole.
  private var lastGood: Int?

  static let stateFile = "state.json"
  private static let prefix = "step-"
  private static let version = 2

  /// A store over a folder that need not exist yet.
  ///
  /// - Parameters:
  ///   - settings: Everything that must be the same for a stage to go on: the stage's settings, the
  ///     seed, whatever identifies model and data.
  ///   - environment: What may change at the price of the last bits, such as the number of threads.
  ///   - note: Gets a line for each checkpoint that is ignored and for a changed environment.
  public init(
    folder: String, settings: JSONObject, environment: JSONObject = [:],
    note: @escaping (String) -> Void = { _ in }
  ) {
    self.folder = folder
    self.settings = settings
    self.environment = environment
    self.note = note
  }

  // MARK: - Reading

  /// The newest whole checkpoint; `nil` when there is none. Leftovers of interrupted writes go.
  ///
  /// - Throws: ``TrainingError`` naming the keys when it was written under other settings, or when one
  ///   cannot be read though it may be whole.
  public func newest(in context: Context) throws -> TrainingState? {
    guard Files.isFolder(folder) else { return nil }
    let names = try Files.names(inFolder: folder)
    for name in names where name.hasPrefix(".\(Self.prefix)") {
      try Files.remove("\(folder)/\(name)")
    }
    let steps = names.compactMap(Self.step(of:)).sorted(by: >)
    for step in steps {
      let path = path(of: step)
      do {
        let description = try describe(step)
        try checkSettings(description)
        let state = try read(step, description, in: context)
        try compareEnvironment(description, path)
        lastGood = step
        return state
      } catch let error as UnusableCheckpoint {
        throw TrainingError("\(path): \(error.message)")
      } catch  where Self.mayBeWhole(error) {
        throw TrainingError("\(error); if \(path) is lost, remove it to go on from an older one")
      } catch {
        note("\(path) is not a whole checkpoint and is ignored: \(error)")
      }
    }
    if !steps.isEmpty { note("\(folder) holds no whole checkpoint; starting from step 0") }
    return nil
  }

  private func describe(_ step: Int) throws -> ConfigurationFile {
    let path = "\(path(of: step))/\(Self.stateFile)"
    let parsed = try JSON.parse(Files.read(path))
    guard let object = parsed.object else { throw TrainingError("\(path) holds no object") }
    let description = ConfigurationFile(path: path, object: object)
    let version = try description.integer("version")
    guard version == Self.version else { throw UnusableCheckpoint.otherVersion(version) }
    guard try description.integer("step") == step else {
      throw TrainingError("\(path) is of another step")
    }
    return description
  }

  /// Whether a reading error says nothing about the bytes: the system refused for another reason than
  /// that a file is missing or too short.
  private static func mayBeWhole(_ error: any Error) -> Bool {
    let file = (error as? any FileErrorCarrying)?.fileError
    guard case .system(let code)? = file?.reason else { return false }
    return code != ENOENT && code != ENOTDIR && code != EISDIR
  }

  private func compareEnvironment(_ description: ConfigurationFile, _ path: String) throws {
    let changed = differingKeys(try description.section("environment").object, environment)
    guard !changed.isEmpty else { return }
    note(
      "\(path) was written with other \(changed.joined(separator: ", ")); results may differ in their last bits from those of one uninterrupted run"
    )
  }

  private func checkSettings(_ description: ConfigurationFile) throws {
    let saved = try description.section("settings").object
    let hash = Self.hash(saved)
    guard try description.string("settings_hash") == hash else {
      throw TrainingError("settings_hash does not fit the settings")
    }
    guard hash != Self.hash(settings) else { return }
    throw UnusableCheckpoint.changedSettings(differingKeys(saved, settings))
  }

  private func read(
    _ step: Int, _ description: ConfigurationFile, in context: Context
  ) throws -> TrainingState {
    let checksums = try description.section("checksums")
    let checkpoint = try Checkpoint(folder: path(of: step), access: .pread)
    guard checkpoint.tensors.count == checksums.object.count else {
      throw TrainingError(
        "\(checkpoint.tensors.count) tensors where \(checksums.object.count) were written")
    }
    var state = TrainingState(step: step)
    for tensor in checkpoint.tensors {
      guard let dtype = DType(tensor.elementType) else {
        throw TrainingError("tensor \(tensor.name) is \(tensor.elementType.rawValue)")
      }
      let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: tensor.byteCount, alignment: 64)
      defer { bytes.deallocate() }
      try checkpoint.read(tensor.name, into: bytes)
      let sum = Checksum.of(UnsafeRawBufferPointer(bytes)).hexadecimal
      guard try checksums.string(tensor.name) == sum else {
        throw TrainingError("tensor \(tensor.name) does not have the bytes that were written")
      }
      state.add(
        context.tensor(bytes: UnsafeRawBufferPointer(bytes), tensor.shape, dtype), tensor.name)
    }
    return state
  }

  // MARK: - Writing

  /// Writes a checkpoint, then removes all but it and the newest older one.
  ///
  /// - Throws: ``TrainingError`` when it cannot be written, such as on a full disk; the last one is
  ///   untouched then.
  public func save(_ state: TrainingState, in context: Context) throws(TrainingError) {
    do {
      let output = try OutputFolder(path(of: state.step), force: true)
      let sums = try write(state, to: output.stagingPath, in: context)
      let description: JSONObject = [
        "version": JSON(Self.version),
        "step": JSON(state.step),
        "settings_hash": JSON(Self.hash(settings)),
        "settings": .object(settings),
        "environment": .object(environment),
        "checksums": .object(sums),
      ]
      try Files.write(
        JSON.object(description).serialized(indent: 2) + "\n", to: output.path(of: Self.stateFile))
      try output.commit()
    } catch {
      throw TrainingError("\(error)\(advice)")
    }
    let previous = lastGood
    lastGood = state.step
    remove(steps.filter { $0 != state.step && $0 != previous })
  }

  /// Removes every checkpoint, for a stage whose result is safe elsewhere.
  public func removeAll() { remove(steps) }

  private func write(
    _ state: TrainingState, to folder: String, in context: Context
  ) throws -> JSONObject {
    let writer = try CheckpointWriter(
      folder: folder,
      tensors: state.tensors.map {
        TensorDeclaration(
          name: $0.name, elementType: $0.tensor.dtype.elementType, shape: $0.tensor.shape)
      })
    var sums = JSONObject()
    for (name, tensor) in state.tensors {
      let bytes = UnsafeMutableRawBufferPointer.allocate(
        byteCount: tensor.byteCount, alignment: 64)
      defer { bytes.deallocate() }
      context.readBytes(tensor, into: bytes)
      sums[name] = JSON(Checksum.of(UnsafeRawBufferPointer(bytes)).hexadecimal)
      try writer.write(name, UnsafeRawBufferPointer(bytes))
    }
    try writer.finish()
    return sums
  }

  private func remove(_ steps: some Sequence<Int>) {
    // An old checkpoint that stays costs space only.
    for step in steps { try? Files.remove(path(of: step)) }
  }

  private var advice: String {
    guard let lastGood else { return "" }
    return "; the checkpoint of step \(lastGood) in \(folder) is whole, run again to go on from it"
  }

  // MARK: -

  /// The steps there are folders for.
  private var steps: [Int] {
    ((try? Files.names(inFolder: folder)) ?? []).compactMap(Self.step(of:))
  }

  private func path(of step: Int) -> String { "\(folder)/\(Self.prefix)\(step)" }

  private static func step(of name: String) -> Int? {
    guard name.hasPrefix(prefix), let step = Int(name.dropFirst(prefix.count)), step >= 0,
      name == "\(prefix)\(step)"
    else { return nil }
    return step
  }

  private static func hash(_ settings: JSONObject) -> String {
    Checksum.of(JSON.object(settings).serialized(sortedKeys: true)).hexadecimal
  }
}

/// A whole checkpoint that this run must not go on from, nor go past.
private enum UnusableCheckpoint: Error {
  case changedSettings([String])
  case otherVersion(Int)

  var message: String {
    switch self {
    case .changedSettings(let keys):
      "written under other settings (\(keys.joined(separator: ", "))); restore them, or give another output folder to start anew"
    case .otherVersion(let version):
      "written by another version of herd (format \(version)); use that version, or give another output folder to start anew"
    }
  }
}
