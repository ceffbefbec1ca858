/// Prices at which groups are chosen about equally often.
///
/// The dual of the transport problem: `min_p Σ_n max_g (v_ng − p_g) + capacity · Σ_g p_g`. Its
/// coordinate descent sets one group's price so that the group is chosen `capacity` times.
struct GroupPrices {
  private let values: [Float]
  private let groups: Int
  private var prices: [Double]
  /// Each item's best and second best group and what they are worth to it.
  private var best: [Choice]
  private var counts: [Int]
  private var margins: [Double]

  /// Sweeps over all groups; what stays unbalanced is left to the exact method.
  private static let sweeps = 4

  private struct Choice {
    var first = -Double.infinity
    var second = -Double.infinity
    var firstGroup: Int32 = 0
    var secondGroup: Int32 = 0

    mutating func meet(_ worth: Double, _ group: Int32) {
      if worth > first {
        (second, secondGroup) = (first, firstGroup)
        (first, firstGroup) = (worth, group)
      } else if worth > second {
        (second, secondGroup) = (worth, group)
      }
    }
  }

  /// The group each item chooses, the one with its largest value minus price; ties to the lower.
  static func choices(values_NG: [Float], groups: Int, capacity: Int) -> [Int32] {
    var prices = GroupPrices(values_NG, groups)
    for _ in 0..<sweeps {
      for group in 0..<groups where prices.counts[group] != capacity {
        prices.balance(group, capacity)
      }
    }
    return prices.best.map(\.firstGroup)
  }

  private init(_ values: [Float], _ groups: Int) {
    self.values = values
    self.groups = groups
    let items = values.count / groups
    prices = [Double](repeating: 0, count: groups)
    best = [Choice](repeating: Choice(), count: items)
    counts = [Int](repeating: 0, count: groups)
    margins = [Double](repeating: 0, count: items)
    for item in 0..<items {
      best[item] = choice(of: item)
      counts[Int(best[item].firstGroup)] += 1
    }
  }

  private func choice(of item: Int) -> Choice {
    var choice = Choice()
    for group in 0..<groups {
      choice.meet(Double(values[item * groups + group]) - prices[group], Int32(group))
    }
    return choice
  }

  /// Sets the price of `group` so that about `capacity` items choose it.
  private mutating func balance(_ group: Int, _ capacity: Int) {
    // An item chooses the group at every price below its margin.
    var (low, high) = (Double.infinity, -Double.infinity)
    for item in best.indices {
      let other = best[item].firstGroup == group ? best[item].second : best[item].first
      let margin = Double(values[item * groups + group]) - other
      margins[item] = margin
      (low, high) = (min(low, margin), max(high, margin))
    }
    var price = prices[group]
    for _ in 0..<40 {
      var count = 0
      for margin in margins { count += margin > price ? 1 : 0 }
      if count == capacity { break }
      if count > capacity { low = price } else { high = price }
      price = (low + high) / 2
    }
    prices[group] = price
    for item in best.indices {
      let (old, name) = (best[item], Int32(group))
      if old.firstGroup == name || old.secondGroup == name {
        best[item] = choice(of: item)
      } else {
        best[item].meet(Double(values[item * groups + group]) - price, name)
      }
      counts[Int(old.firstGroup)] -= 1
      counts[Int(best[item].firstGroup)] += 1
    }
  }
}
