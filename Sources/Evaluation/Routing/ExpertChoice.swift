import Formats
import Models

/// How one mixture layer would route if experts chose tokens instead of tokens experts (Zhou et al.
/// 2022, "Mixture-of-Experts with Expert Choice Routing"): every expert takes the tokens with the
/// largest probability of it, all experts equally many and as many in all as tokens choose now.
///
/// It is an analysis: while text is generated the tokens to come cannot be chosen among.
public struct ExpertChoice: Sendable, Equatable {
  /// Index of the block.
  public let layer: Int
  /// Which half of the block.
  public let part: BlockPart
  /// Tokens looked at.
  public private(set) var tokens = 0
  /// Tokens by the number of experts that would take them, from none up.
  public private(set) var tokensByExperts: [Int] = []
  /// Choices of experts that tokens make too.
  public private(set) var shared = 0
  /// Choices of experts in all.
  public private(set) var choices = 0

  init(layer: Int, part: BlockPart) {
    self.layer = layer
    self.part = part
  }

  /// The share of tokens that no expert would take.
  public var unchosen: Double { share(tokensByExperts.first ?? 0, of: tokens) }
  /// The most experts that would take one token.
  public var most: Int { max(0, tokensByExperts.count - 1) }
  /// The share of the experts' choices that tokens make too.
  public var agreement: Double { share(shared, of: choices) }

  private func share(_ part: Int, of whole: Int) -> Double {
    whole == 0 ? 0 : Double(part) / Double(whole)
  }

  /// Adds the tokens of one pass.
  ///
  /// - Parameters:
  ///   - probabilities: `[T, E]` row-major.
  ///   - chosen: What tokens choose, `[T, K]`; negative for none.
  mutating func add(probabilities: [Double], chosen: [Int32], experts: Int) {
    guard experts > 0, !probabilities.isEmpty else { return }
    let count = probabilities.count / experts
    let topK = chosen.count / count
    let capacity = min(count, max(1, (chosen.count { $0 >= 0 } + experts / 2) / experts))
    var taken = [Int](repeating: 0, count: count)
    for expert in 0..<experts {
      let order = (0..<count).sorted {
        let (a, b) = (probabilities[$0 * experts + expert], probabilities[$1 * experts + expert])
        return a > b || (a == b && $0 < $1)
      }
      for token in order.prefix(capacity) {
        taken[token] += 1
        choices += 1
        if chosen[token * topK..<(token + 1) * topK].contains(Int32(expert)) { shared += 1 }
      }
    }
    for number in taken {
      while tokensByExperts.count <= number { tokensByExperts.append(0) }
      tokensByExperts[number] += 1
    }
    tokens += count
  }

  /// The analysis for machines.
  var json: JSON {
    [
      "layer": JSON(layer), "part": JSON(part.rawValue), "tokens": JSON(tokens),
      "tokens_by_experts": .array(tokensByExperts.map { JSON($0) }),
      "unchosen": JSON(unchosen), "most_experts": JSON(most), "agreement": JSON(agreement),
    ]
  }
}
