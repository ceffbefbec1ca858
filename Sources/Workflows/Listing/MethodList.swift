import ExpertConstruction
import Formats
import Reports

/// The ways of making experts, or routers, that there are: what `herd strategies` and
/// `herd routers` show.
public struct MethodList: Sendable {
  /// One method.
  public struct Method: Sendable, Equatable {
    /// The name users give.
    public var name: String
    /// What it does, in one line.
    public var summary: String
    /// Where it comes from.
    public var source: String
    /// What it needs besides weights.
    public var data: String
    /// What it costs, in words.
    public var cost: String

    fileprivate var json: JSON {
      [
        "name": .string(name), "summary": .string(summary), "source": .string(source),
        "data": .string(data), "cost": .string(cost),
      ]
    }
  }

  /// Methods for MLPs.
  public let mlp: [Method]
  /// Methods for attention.
  public let attention: [Method]

  /// Every strategy that `herd convert` knows.
  public static var strategies: MethodList {
    MethodList(
      mlp: StrategyName.allCases.map { name in
        let strategy = name.make()
        return Method(
          name: name.rawValue, summary: strategy.summary, source: strategy.source,
          data: strategy.data, cost: strategy.cost)
      },
      attention: AttentionStrategyName.allCases.map { name in
        let strategy = name.make()
        return Method(
          name: name.rawValue, summary: strategy.summary, source: strategy.source,
          data: strategy.data, cost: strategy.cost)
      })
  }

  /// Every router that `herd convert` knows; attention is routed at random or by regression.
  public static var routers: MethodList {
    func methods(_ names: [RouterName]) -> [Method] {
      names.map { name in
        let router = name.make()
        return Method(
          name: name.rawValue, summary: router.summary, source: router.source, data: router.data,
          cost: router.cost)
      }
    }
    return MethodList(mlp: methods(RouterName.allCases), attention: methods([.random, .regressed]))
  }

  /// The list for machines.
  public var json: JSON {
    ["mlp": .array(mlp.map(\.json)), "attention": .array(attention.map(\.json))]
  }

  /// The list as tables, one method a line.
  public var text: String {
    [("mlp", mlp), ("attention", attention)].map { part, methods in
      var table = TextTable(
        header: [part, "what it does", "data", "cost", "source"],
        alignments: Array(repeating: .leading, count: 5))
      for method in methods {
        table.add([method.name, method.summary, method.data, method.cost, method.source])
      }
      return table.text()
    }.joined(separator: "\n")
  }
}
