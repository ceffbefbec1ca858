import ExpertConstruction

/// A strategy with a router, and the settings that make a model of them.
struct MethodPair: Equatable {
  /// What of a block becomes experts.
  enum Part: String, CaseIterable {
    case mlp, attention
  }

  let part: Part
  let strategy: String
  /// `nil` where the strategy makes no experts to choose from.
  let router: String?

  /// All pairs to be tried, strategy after strategy; each one's default router goes first. Of trials
  /// of each method once, every strategy with the default router and one strategy with the others.
  static func all(_ settings: TrialSettings) -> [MethodPair] {
    Part.allCases.flatMap { part -> [MethodPair] in
      let strategies = settings.chosen(part.strategies, settings.strategies)
      let defaults = ConvertSettings()
      let routed = strategies.filter { !part.hasNoRouter($0) }
      let usual = routed.contains(defaults.strategy) ? defaults.strategy : routed.first
      return strategies.flatMap { strategy -> [MethodPair] in
        if part.hasNoRouter(strategy) {
          return [MethodPair(part: part, strategy: strategy, router: nil)]
        }
        let routers = routers(for: strategy, part, settings)
        let own = settings.once && strategy != usual ? Array(routers.prefix(1)) : routers
        return own.map { MethodPair(part: part, strategy: strategy, router: $0) }
      }
    }
  }

  /// The routers for a strategy, its default one first.
  private static func routers(
    for strategy: String, _ part: Part, _ settings: TrialSettings
  ) -> [String] {
    var defaults = ConvertSettings()
    defaults.strategy = part == .mlp ? strategy : "none"
    let known = settings.chosen(part.routers, settings.routers)
    return known.filter { $0 == defaults.routerName }
      + known.filter { $0 != defaults.routerName }
  }

  /// The settings to try in this order, none of which says a format: with the same units and active
  /// units, without shared ones and with one.
  ///
  /// - Parameters:
  ///   - movesAttention: Whether they are for a format that has attention experts of its own and as
  ///     many of them as of an MLP's.
  ///   - attention: Sizes of the attention experts in question, where they can be made.
  func candidates(
    _ settings: TrialSettings, movesAttention: Bool, attention: AttentionGeometry?
  ) -> [ConvertSettings] {
    var first = ConvertSettings()
    (first.experts, first.topK, first.shared) = (settings.units, settings.active, 0)
    first.data = settings.data
    first.calibrationTokens = settings.calibrationTokens
    if let router { first.router = router }
    switch part {
    case .mlp: first.strategy = strategy
    case .attention:
      (first.strategy, first.attention) = ("none", strategy)
    }
    if movesAttention {
      first.attention = attentionName
      if part == .attention { first.strategy = StrategyName.sequential.rawValue }
      first.experts = attention?.experts ?? first.experts
      first.topK = attention?.topK ?? first.topK
      return [first]
    }
    guard part == .mlp, settings.active > 1 else { return [first] }
    var second = first
    (second.experts, second.topK, second.shared) = (settings.units - 1, settings.active - 1, 1)
    return [first, second]
  }

  /// The attention experts that go with this pair into formats that have their own: whole query
  /// heads, unless attention is what is tried.
  var attentionName: String {
    part == .attention ? strategy : AttentionStrategyName.moa.rawValue
  }
}

extension MethodPair.Part {
  /// The strategies for this part.
  var strategies: [String] { methods(MethodList.strategies) }
  /// The routers for this part.
  var routers: [String] { methods(MethodList.routers) }

  private func methods(_ list: MethodList) -> [String] {
    (self == .mlp ? list.mlp : list.attention).map(\.name)
  }

  /// Whether a strategy makes no experts.
  func hasNoRouter(_ strategy: String) -> Bool {
    self == .mlp && StrategyName(rawValue: strategy)?.make().form == .pruned
  }
}
