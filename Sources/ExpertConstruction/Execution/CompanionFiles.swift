import Formats

/// The files of a checkpoint folder that are neither weights nor rewritten: tokenizer, generation
/// settings, licence.
public enum CompanionFiles {
  private static let rewritten: Set<String> = [
    "config.json", "README.md", ByteLedger.fileName, "model.safetensors.index.json",
  ]
  private static let weightEndings = [
    ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".index.json",
  ]

  /// Copies them into the folder `target`, following links; folders, such as the resume states of a
  /// training stage, stay behind.
  public static func copy(from folder: String, to target: String) throws(FileError) {
    for name in try Files.names(inFolder: folder) where isCompanion(name) {
      let path = "\(folder)/\(name)"
      if !Files.isFolder(path), Files.exists(path) {
        try Files.copy(path, to: "\(target)/\(name)")
      }
    }
  }

  /// Whether a file of a checkpoint folder is copied as it is.
  static func isCompanion(_ name: String) -> Bool {
    !name.hasPrefix(".") && !rewritten.contains(name)
      && !weightEndings.contains { name.hasSuffix($0) }
  }
}
