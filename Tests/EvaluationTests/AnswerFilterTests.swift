import Testing

@testable import Evaluation

@Suite struct AnswerFilterTests {
  @Test(arguments: [
    ("so it is 5.\n#### 1,234.50 and #### 7", "1,234.50"), ("#### -3", "-3"), ("#### 18.", "18."),
    ("####18", "[invalid]"), ("#### $18", "[invalid]"), ("#### x #### 9", "9"), ("", "[invalid]"),
    ("#### -", "[invalid]"), ("####", "[invalid]"),
  ])
  func theStrictFilterWantsTheMark(_ solution: String, _ answer: String) {
    #expect(AnswerFilter.strict.answer(in: solution) == answer)
  }

  @Test(arguments: [
    ("first 3, then 42 apples", "42"), ("it costs $1,200.00.", "$1,200.00."), ("-5", "-5"),
    ("7 - 2 = 5", "5"), ("none", "[invalid]"), ("a. b, c", "[invalid]"), ("3-4", "-4"),
    ("well... ", "..."), ("--12", "-12"), ("x5", "5"),
  ])
  func theFlexibleFilterTakesTheLastNumber(_ solution: String, _ answer: String) {
    #expect(AnswerFilter.flexible.answer(in: solution) == answer)
  }

  @Test(arguments: [
    ("1,234", "1234", true), ("$18", "18", true), ("18.", "18", true), ("18..", "18", false),
    ("18", "work\n#### 18", true), ("[INVALID]", "[invalid]", true), ("18.0", "18", false),
    ("18.\n", "18\n", true),
  ])
  func someSpellingsAreTheSameAnswer(_ given: String, _ expected: String, _ isMatch: Bool) {
    #expect(AnswerFilter.isMatch(given, expected) == isMatch)
  }
}
