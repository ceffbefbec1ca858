/// Exercises on small Python programs: say what one prints, or write a function.
enum CodeTasks {
  static let all: [SyntheticTask] = [
    SyntheticTask("trace", weight: 3, make: trace),
    SyntheticTask("call", weight: 2, make: call),
    SyntheticTask("branch", weight: 2, make: branch),
    SyntheticTask("loop", weight: 2, make: loop),
    SyntheticTask("list-index", weight: 2, make: listIndex),
    SyntheticTask("list-slice", weight: 2, make: listSlice),
    SyntheticTask("list-function", weight: 3, make: listFunction),
    SyntheticTask("write-arithmetic", weight: 2, make: FunctionTasks.arithmetic),
    SyntheticTask("write-list", weight: 2, make: FunctionTasks.list),
    SyntheticTask("write-test", weight: 2, make: FunctionTasks.test),
  ]

  /// A question about the output of a program, answered with the working, then the output.
  private static func output(
    of lines: [String], working: [String] = [], _ printed: String
  ) -> [Message] {
    let reply = working.isEmpty ? [printed] : working + ["Output:", printed]
    return [
      .user("What does this code print?\n" + lines.joined(separator: "\n")),
      .assistant(reply.joined(separator: "\n")),
    ]
  }

  /// A chain of assignments followed line by line: `a = 3`, `b = 3 + 4 = 7`.
  @Sendable static func trace(_ random: inout SyntheticRandom) -> [Message] {
    let names = random.distinct(random.int(2...4), from: SyntheticWords.variables)
    var value = random.int(1...20)
    var lines = ["\(names[0]) = \(value)"]
    var working = lines
    for (source, target) in zip(names, names.dropFirst()) {
      let operand = random.int(1...9)
      let adds = random.coin() || value < operand
      let operation = "\(adds ? "+" : "-") \(operand)"
      lines.append("\(target) = \(source) \(operation)")
      let result = value + (adds ? operand : -operand)
      working.append("\(target) = \(value) \(operation) = \(result)")
      value = result
    }
    lines.append("print(\(names[names.count - 1]))")
    return output(of: lines, working: working, "\(value)")
  }

  /// A function of one number, called once: `4*3=12, 12+2=14`.
  @Sendable static func call(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.functions)
    let variable = random.pick(SyntheticWords.variables)
    let (factor, addend, argument) = (random.int(2...9), random.int(1...9), random.int(1...9))
    let product = argument * factor
    return output(
      of: [
        "def \(name)(\(variable)):", "    return \(variable) * \(factor) + \(addend)",
        "print(\(name)(\(argument)))",
      ],
      working: ["\(argument)*\(factor)=\(product), \(product)+\(addend)=\(product + addend)"],
      "\(product + addend)")
  }

  @Sendable static func branch(_ random: inout SyntheticRandom) -> [Message] {
    let variable = random.pick(SyntheticWords.variables)
    let words = random.distinct(2, from: SyntheticWords.colours)
    let (value, bound) = (random.int(0...50), random.int(0...50))
    let holds = value > bound
    return output(
      of: [
        "\(variable) = \(value)", "if \(variable) > \(bound):",
        "    print(\"\(words[0])\")", "else:", "    print(\"\(words[1])\")",
      ],
      working: ["\(value) > \(bound) is \(holds ? "True" : "False")"],
      words[holds ? 0 : 1])
  }

  @Sendable static func loop(_ random: inout SyntheticRandom) -> [Message] {
    let variable = random.pick(["i", "j", "k"])
    let start = random.int(0...6)
    let end = start + random.int(2...4)
    let operand = random.int(2...9)
    let times = random.coin()
    let printed = (start..<end).map { String(times ? $0 * operand : $0 + operand) }
    return output(
      of: [
        "for \(variable) in range(\(start), \(end)):",
        "    print(\(variable) \(times ? "*" : "+") \(operand))",
      ],
      printed.joined(separator: "\n"))
  }

  /// One element of a list, found by counting: `0: 14`, `1: 9`.
  @Sendable static func listIndex(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.lists)
    let numbers = random.distinct(random.int(3...5), from: Array(1...99))
    let index = random.int(0...numbers.count - 1)
    return output(
      of: ["\(name) = \(numbers)", "print(\(name)[\(index)])"],
      working: (0...index).map { "\($0): \(numbers[$0])" },
      "\(numbers[index])")
  }

  @Sendable static func listSlice(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.lists)
    let numbers = digits(&random)
    let cut = random.int(1...2)
    let (slice, result): (String, [Int]) =
      switch random.int(0...2) {
      case 0: ("[::-1]", numbers.reversed())
      case 1: ("[:\(cut)]", Array(numbers.prefix(cut)))
      default: ("[\(cut):]", Array(numbers.dropFirst(cut)))
      }
    return output(of: ["\(name) = \(numbers)", "print(\(name)\(slice))"], "\(result)")
  }

  @Sendable static func listFunction(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.lists)
    let numbers = digits(&random)
    let function = random.pick(["max", "min", "len", "sorted", "sum"])
    let printed =
      switch function {
      case "max": "\(numbers.reduce(0, max))"
      case "min": "\(numbers.reduce(9, min))"
      case "len": "\(numbers.count)"
      case "sorted": "\(numbers.sorted())"
      default: "\(numbers.reduce(0, +))"
      }
    return output(
      of: ["\(name) = \(numbers)", "print(\(function)(\(name)))"],
      working: function == "sum" ? [runningSum(numbers)] : [], printed)
  }

  /// Three to six different digits; Swift prints a list of integers as Python does.
  private static func digits(_ random: inout SyntheticRandom) -> [Int] {
    random.distinct(random.int(3...6), from: Array(0...9))
  }

  /// `4+9=13, 13+2=15`.
  private static func runningSum(_ numbers: [Int]) -> String {
    var total = numbers[0]
    var steps: [String] = []
    for number in numbers.dropFirst() {
      steps.append("\(total)+\(number)=\(total + number)")
      total += number
    }
    return steps.joined(separator: ", ")
  }
}
