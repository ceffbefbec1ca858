/// Times as people read them.
public enum Durations {
  /// `0.4s`, `42s`, `3m 07s`, `2h 15m`, `3d 4h`.
  public static func text(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0, seconds < 1e12 else { return "?" }
    if seconds < 9.95 { return Decimals.fixed(seconds, places: 1) + "s" }
    let whole = Int(seconds.rounded())
    switch whole {
    case ..<60: return "\(whole)s"
    case ..<3600: return "\(whole / 60)m \(two(whole % 60))s"
    case ..<86_400: return "\(whole / 3600)h \(two(whole % 3600 / 60))m"
    default: return "\(whole / 86_400)d \(whole % 86_400 / 3600)h"
    }
  }

  private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
