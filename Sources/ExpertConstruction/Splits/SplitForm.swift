/// What a split does with the neurons of an MLP.
public enum SplitForm: String, CaseIterable, Sendable {
  /// Each neuron is in exactly one unit.
  case partition
  /// Units may hold the same neurons, and some neurons may be in none.
  case overlapping
  /// As many neurons as a token would use form one dense MLP; the others are left out.
  case pruned
  /// Each expert is a copy of the whole MLP, in which some neurons may be drawn anew.
  case copied
}

/// Whether a strategy makes units that every token uses.
public enum SharedUnits: Sendable {
  /// It makes none.
  case none
  /// It makes as many as it is asked for.
  case optional
  /// It makes no sense without at least one.
  case required
}
