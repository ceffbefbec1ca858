/// Bounds on what a configuration may ask for, far above any model: within them sizes are products
/// that do not overflow, and lists of tensors that fit into memory.
enum ModelLimits {
  /// Blocks.
  static let layers = 1 << 14
  /// Experts of a layer, routed or shared.
  static let experts = 1 << 14
}
