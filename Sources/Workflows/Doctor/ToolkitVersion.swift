/// The version of this toolkit.
public enum ToolkitVersion {
  /// Semantic version.
  public static let current = "0.1.0"

  /// The Swift release that compiled the toolkit.
  public static var compiler: String {
    #if compiler(>=6.5)
      "Swift 6.5 or newer"
    #elseif compiler(>=6.4)
      "Swift 6.4"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #else
      "Swift 6.2"
    #endif
  }
}
