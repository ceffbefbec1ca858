import Testing

extension SyntheticOracle {
  /// Runs the program below the question's first line; only the forms the generator uses.
  static func run(_ question: String) throws -> String {
    let lines = question.split(separator: "\n").dropFirst().map(String.init)
    var scope: [String: String] = [:]
    var output: [String] = []
    var position = 0
    while position < lines.count {
      let line = lines[position]
      position += 1
      if line.hasPrefix("for ") {
        let parts = line.split(whereSeparator: { " (,):".contains($0) }).map(String.init)
        let body = lines[position].trimmingPrefix(while: \.isWhitespace)
        for i in try value(parts[4])..<(try value(parts[5])) {
          scope[parts[1]] = String(i)
          output.append(try evaluate(argument(of: String(body)), scope))
        }
        position += 1
      } else if line.hasPrefix("if ") {
        let parts = line.split(whereSeparator: { " :".contains($0) }).map(String.init)
        let left = try value(evaluate(parts[1], scope))
        let right = try value(parts[3])
        let holds = parts[2] == ">" ? left > right : left < right
        let chosen = lines[position + (holds ? 0 : 2)].trimmingPrefix(while: \.isWhitespace)
        output.append(argument(of: String(chosen)).filter { $0 != "\"" })
        position += 3
      } else if line.hasPrefix("def ") {
        let name = line.dropFirst(4).prefix(while: { $0 != "(" })
        scope[String(name)] = argument(of: line) + "\n" + lines[position].dropFirst(11)
        position += 1
      } else if line.hasPrefix("print(") {
        output.append(try evaluate(argument(of: line), scope))
      } else {
        let sides = line.split(separator: "=", maxSplits: 1).map(String.init)
        let name = sides[0].filter { $0 != " " }
        scope[name] = try evaluate(String(sides[1].dropFirst()), scope)
      }
    }
    return output.joined(separator: "\n")
  }

  /// What stands between the first `(` and the last `)`.
  private static func argument(of text: String) -> String {
    guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else {
      return ""
    }
    return String(text[text.index(after: open)..<close])
  }

  private static func evaluate(_ text: String, _ scope: [String: String]) throws -> String {
    if text.hasPrefix("[") { return text }
    if let bracket = text.firstIndex(of: "[") {
      let list = numbers(in: scope[String(text[..<bracket])] ?? "")
      let index = String(text[bracket...].dropFirst().dropLast())
      if index == "::-1" { return "\(Array(list.reversed()))" }
      if index.hasPrefix(":") { return "\(Array(list[..<(try value(String(index.dropFirst())))]))" }
      if index.hasSuffix(":") { return "\(Array(list[(try value(String(index.dropLast())))...]))" }
      return String(list[try value(index)])
    }
    if let open = text.firstIndex(of: "(") {
      return try call(String(text[..<open]), argument(of: text), scope)
    }
    let terms = text.split(separator: " ").map { term in scope[String(term)] ?? String(term) }
    return String(try value(terms.joined()))
  }

  private static func call(
    _ name: String, _ argument: String, _ scope: [String: String]
  ) throws -> String {
    let list = numbers(in: scope[argument] ?? "")
    switch name {
    case "max": return String(try #require(list.max()))
    case "min": return String(try #require(list.min()))
    case "len": return String(list.count)
    case "sum": return String(list.reduce(0, +))
    case "sorted": return "\(list.sorted())"
    default:
      let function = try #require(scope[name]).split(separator: "\n").map(String.init)
      return try evaluate(function[1], [function[0]: argument])
    }
  }

  /// An expression of integers with + - *, products first.
  static func value(_ text: String) throws -> Int {
    var total = 0
    var (product, sign, digits) = (1, 1, "")
    for character in text + "+" {
      if character.isNumber {
        digits.append(character)
        continue
      }
      product *= try #require(Int(digits), "no number in \(text)")
      digits = ""
      if character == "*" { continue }
      total += sign * product
      (product, sign) = (1, character == "-" ? -1 : 1)
    }
    return total
  }
}

extension String {
  fileprivate func trimmingPrefix(while drops: (Character) -> Bool) -> Substring {
    drop(while: drops)
  }
}
