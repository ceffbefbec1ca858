/// Where the gradient with respect to one tensor gathers during backward.
///
/// `@unchecked Sendable`: used by one training loop on one thread.
package final class GradientSlot: @unchecked Sendable {
  /// The sum of what has arrived so far.
  package var gradient: Tensor?
  /// Tape entries that will still contribute.
  package var pendingUses = 0
  /// The parameter this slot belongs to, if it is one.
  package weak var parameter: Parameter?

  package init(parameter: Parameter? = nil) { self.parameter = parameter }
}
