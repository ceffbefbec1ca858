/// The folder of the package, wherever tests run.
public enum PackageFolder {
  /// The folder that holds `Package.swift`.
  public static let path =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
    .joined(separator: "/")

  /// The checkpoint that comes with the package.
  public static let checkpoint = path + "/Checkpoints/tiny-llama"
}
