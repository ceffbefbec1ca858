/// Many runs in one folder: what a command says of them beforehand, and does.
public protocol GridWork {
  /// What they will do and roughly cost.
  func estimate() throws -> GridEstimate
  /// Does whatever is not done yet, as far as the time limit allows.
  func execute() throws -> GridResult
}
