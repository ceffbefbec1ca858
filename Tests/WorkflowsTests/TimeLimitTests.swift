import TestSupport
import Testing

@testable import Workflows

/// What a call of a grid takes from earlier ones about time.
@Suite struct TimeLimitTests {
  private let folder = TemporaryFolder()

  /// 100 s, of which 98 are for steps, after `elapsed` of them, taught by a record of a call with `then`
  /// jobs in which an evaluation took at most 10 s.
  private func limit(after elapsed: Double, then: String, now: Int) throws -> TimeLimit {
    folder.write(
      "scaling.json",
      """
      {"format_version": 1, "name": "x", \(then) "cells": [{"name": "a", "seconds": {"evaluate:dense": 4}},
        {"name": "b", "seconds": {"evaluate:dense": 10, "stage:one": 90}}]}
      """)
    let limit = TimeLimit(seconds: 100) { elapsed }
    try ScalingRecord(contentsOf: folder.path).teach(limit, jobs: now)
    return limit
  }

  @Test func aStepFitsByTheLongestOfItsKind() throws {
    for then in ["\"jobs\": 2,", "\"jobs\": 3,"] {
      #expect(try limit(after: 87, then: then, now: 2).fits("evaluate"))
      #expect(try !limit(after: 89, then: then, now: 2).fits("evaluate"))
    }
    // A stage stops between its own steps.
    #expect(try limit(after: 97, then: "\"jobs\": 2,", now: 2).fits("stage"))
    #expect(try limit(after: 97, then: "\"jobs\": 2,", now: 2).fits("export"))
  }

  /// A record that says nothing is of one job.
  @Test(arguments: ["", "\"jobs\": 1,", "\"jobs\": 0,"])
  func withMoreJobsAStepMayTakeAsManyTimesLonger(then: String) throws {
    #expect(try limit(after: 87, then: then, now: 1).fits("evaluate"))
    #expect(try limit(after: 67, then: then, now: 3).fits("evaluate"))
    #expect(try !limit(after: 69, then: then, now: 3).fits("evaluate"))
    // Not so much longer that no call would begin it.
    #expect(try limit(after: 47, then: then, now: 64).fits("evaluate"))
    #expect(try !limit(after: 49, then: then, now: 64).fits("evaluate"))
  }

  @Test func theTimeItTookCountsInAnyCase() {
    let limit = TimeLimit(seconds: 100) { 20 }
    limit.learn("evaluate", seconds: 80, slowedUpTo: 2)
    #expect(!limit.fits("evaluate"))
  }

  @Test func whatItTakesNowCountsOnceItIsKnown() throws {
    let limit = try limit(after: 69, then: "", now: 3)
    limit.learn("export", seconds: 1)
    #expect(!limit.fits("evaluate"))
    limit.learn("evaluate", seconds: 12)
    #expect(limit.fits("evaluate"))
    limit.learn("evaluate", seconds: 29.5)
    #expect(!limit.fits("evaluate"))
  }
}
