/// Sizes of models trained from scratch, by the names papers give them.
public enum ModelSize: String, CaseIterable, Sendable {
  case m70 = "70M"
  case m160 = "160M"
  case m385 = "385M"
  case m410 = "410M"
  case b1 = "1B"
  case b3 = "3B"
  case b7 = "7B"

  /// Extents of such a model of a family: the scaling-law paper's (arXiv 2406.16690, table of models), its
  /// 1B with the width of MLPs that its parameter count says; 385M, and from 1B on `transnormer`, are
  /// TransNormerLLM's (arXiv 2307.14995).
  public func extents(of family: ModelFamily) -> (
    layers: Int, hiddenSize: Int, heads: Int, width: Int
  ) {
    switch (self, family) {
    case (.m410, .tnl), (.m410, .cosformer2): (25, 1024, 8, 2816)
    case (.b1, .transnormer): (16, 2048, 16, 5632)
    case (.b3, .transnormer): (32, 2560, 20, 6912)
    case (.b7, .transnormer): (30, 4096, 32, 11008)
    default: common
    }
  }

  private var common: (layers: Int, hiddenSize: Int, heads: Int, width: Int) {
    switch self {
    case .m70: (6, 512, 4, 1536)
    case .m160: (12, 768, 6, 2048)
    case .m385: (24, 1024, 8, 2816)
    case .m410: (26, 1024, 8, 2816)
    case .b1: (32, 1536, 12, 4096)
    case .b3: (35, 2560, 20, 6912)
    case .b7: (32, 4096, 32, 11008)
    }
  }
}
