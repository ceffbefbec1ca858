/// Into how many experts of which width an MLP is cut, and how many of them a token uses.
public struct SplitGeometry: Equatable, Sendable {
  /// Neurons of the dense MLP (its intermediate size).
  public let width: Int
  /// Routed experts.
  public let experts: Int
  /// Routed experts a token is sent to.
  public let topK: Int
  /// Shared units of the same width, always active.
  public let shared: Int
  /// What becomes of the neurons.
  public let form: SplitForm

  /// Neurons of one expert, and of one shared unit.
  public var expertWidth: Int { form == .copied ? width : width / (experts + shared) }
  /// Neurons that are always active.
  public var sharedWidth: Int { shared * expertWidth }
  /// Neurons that a token uses.
  public var activeWidth: Int { (topK + shared) * expertWidth }
  /// The neurons a token uses over those of the dense MLP: `(k + S) / (E + S)`, and `k` where experts
  /// are copies.
  public var activeShare: Double { Double(activeWidth) / Double(width) }

  /// The most copies of a dense MLP: a checkpoint that many times as large is a slip of the hand.
  private static let mostCopies = 4096

  /// - Throws: ``ConstructionError`` naming the nearest settings that work.
  public init(
    width: Int, experts: Int, topK: Int, shared: Int, form: SplitForm = .partition
  ) throws(ConstructionError) {
    guard experts >= 1 else {
      throw ConstructionError(.refused, "\(experts) experts: ask for at least 1 with --experts")
    }
    guard shared >= 0 else {
      throw ConstructionError(.refused, "\(shared) shared units: --shared cannot be negative")
    }
    guard form != .copied || experts <= Self.mostCopies else {
      throw ConstructionError(
        .refused,
        "\(experts) experts: at most \(Self.mostCopies) copies of a whole MLP are made; lower --experts"
      )
    }
    guard form == .copied || experts <= width, shared <= width else {
      throw ConstructionError(
        .refused,
        "\(experts) routed + \(shared) shared units are more than the MLP's \(width) neurons")
    }
    guard topK >= 1, topK <= experts else {
      throw ConstructionError(
        .refused,
        "top-\(topK) of \(experts) routed experts: --top-k must be between 1 and \(experts)")
    }
    guard form != .copied || shared == 0 else {
      throw ConstructionError(
        .refused,
        "\(shared) shared units: experts that are copies of the whole MLP leave nothing to share; "
          + "give --shared 0 or leave it out")
    }
    let units = experts + shared
    guard width > 0, form == .copied || width % units == 0 else {
      let offers = Self.nearestUnits(to: units, dividing: width)
        .filter { $0 > shared }
        .map { "--experts \($0 - shared)" }
      let offer =
        offers.isEmpty
        ? "; try another --shared"
        : "; nearest with \(shared) shared: \(offers.joined(separator: " or "))"
      throw ConstructionError(
        .refused,
        "\(experts) routed + \(shared) shared = \(units) units do not divide the MLP width \(width)"
          + offer)
    }
    self.width = width
    self.experts = experts
    self.topK = topK
    self.shared = shared
    self.form = form
  }

  /// The shared units where a user named none: a seventh of the experts where the width allows it,
  /// else none, or the fewest that divide the width where there must be some.
  public static func standardShared(experts: Int, width: Int, _ units: SharedUnits) -> Int {
    let share = experts / 7
    func divides(_ shared: Int) -> Bool { experts > 0 && width % (experts + shared) == 0 }
    switch units {
    case .none: return 0
    case .optional: return divides(share) ? share : 0
    case .required:
      if share > 0, divides(share) { return share }
      return (1...max(1, experts)).first(where: divides) ?? 1
    }
  }

  /// The same units and as many active ones, of which `shared` are always active.
  func sharing(_ shared: Int) throws(ConstructionError) -> SplitGeometry {
    try SplitGeometry(
      width: width, experts: experts + self.shared - shared, topK: topK + self.shared - shared,
      shared: shared, form: form)
  }

  /// The divisors of `width` next below and above `units`.
  static func nearestUnits(to units: Int, dividing width: Int) -> [Int] {
    guard width > 0 else { return [] }
    let below = stride(from: min(units - 1, width), to: 1, by: -1).first { width % $0 == 0 }
    let above =
      units < width ? (units + 1...width).first { width % $0 == 0 } : nil
    return [below, above].compactMap { $0 }
  }
}
