/// Exercises that describe a one-line Python function to be written.
enum FunctionTasks {
  private static func written(
    _ name: String, _ parameter: String, returns description: String, _ expression: String
  ) -> [Message] {
    [
      .user("Write a Python function \(name) that takes \(parameter) and returns \(description)."),
      .assistant("def \(name)(\(parameter)):\n    return \(expression)"),
    ]
  }

  @Sendable static func arithmetic(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.functions)
    let x = random.pick(SyntheticWords.variables)
    let (c, d) = (random.int(2...99), random.int(2...9))
    let choices = [
      ("\(x) plus \(c)", "\(x) + \(c)"), ("\(x) minus \(c)", "\(x) - \(c)"),
      ("\(x) times \(c)", "\(x) * \(c)"), ("the square of \(x)", "\(x) * \(x)"),
      ("\(x) times \(d) plus \(c)", "\(x) * \(d) + \(c)"),
      ("\(x) times \(d) minus \(c)", "\(x) * \(d) - \(c)"),
      ("the remainder of \(x) divided by \(d)", "\(x) % \(d)"),
    ]
    let (description, expression) = random.pick(choices)
    return written(name, x, returns: description, expression)
  }

  @Sendable static func list(_ random: inout SyntheticRandom) -> [Message] {
    let name = random.pick(SyntheticWords.functions)
    let xs = random.pick(SyntheticWords.lists)
    let (c, d) = (random.int(2...9), random.int(0...9))
    let choices = [
      ("the largest element", "max(\(xs))"), ("the smallest element", "min(\(xs))"),
      ("the number of elements", "len(\(xs))"), ("the sum of the elements", "sum(\(xs))"),
      ("the list in reverse order", "\(xs)[::-1]"), ("the list in sorted order", "sorted(\(xs))"),
      ("the first element", "\(xs)[0]"), ("the last element", "\(xs)[-1]"),
      ("the first \(c) elements", "\(xs)[:\(c)]"), ("the last \(c) elements", "\(xs)[-\(c):]"),
      ("the element at index \(d)", "\(xs)[\(d)]"),
      ("each element times \(c)", "[v * \(c) for v in \(xs)]"),
      ("each element plus \(c)", "[v + \(c) for v in \(xs)]"),
      ("the elements greater than \(d)", "[v for v in \(xs) if v > \(d)]"),
    ]
    let (description, expression) = random.pick(choices)
    return written(name, xs, returns: description, expression)
  }

  @Sendable static func test(_ random: inout SyntheticRandom) -> [Message] {
    let name = "is_" + random.pick(["good", "fine", "valid", "right", "done", "small", "big"])
    let x = random.pick(SyntheticWords.variables)
    let c = random.int(2...99)
    let choices = [
      ("\(x) is even", "\(x) % 2 == 0"), ("\(x) is odd", "\(x) % 2 == 1"),
      ("\(x) is greater than \(c)", "\(x) > \(c)"), ("\(x) is less than \(c)", "\(x) < \(c)"),
      ("\(x) is equal to \(c)", "\(x) == \(c)"),
      ("\(x) is at least \(c)", "\(x) >= \(c)"),
      ("\(x) is divisible by \(c)", "\(x) % \(c) == 0"),
    ]
    let (description, expression) = random.pick(choices)
    return written(name, x, returns: "whether \(description)", expression)
  }
}
