import Glibc
import Numerics

/// Seconds on a clock that never jumps.
func seconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// How long `body` takes.
func timed(_ body: () throws -> Void) rethrows -> Double {
  let start = seconds()
  try body()
  return seconds() - start
}

/// The middle value.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  return sorted.isEmpty ? .nan : sorted[sorted.count / 2]
}

/// The median of `rounds` timings of `count` calls each, in milliseconds a call, after three calls.
func milliseconds(
  _ context: Context, rounds: Int = 7, count: Int = 5, _ body: (Int) -> Void
) -> Double {
  for index in 0..<3 { body(index) }
  return median(
    (0..<rounds).map { round in
      context.seconds { for index in 0..<count { body(round * count + index) } } * 1000
        / Double(count)
    })
}

/// Prints figures as one JSON object.
func report(_ name: String, _ figures: KeyValuePairs<String, Double>) {
  let fields = figures.map { "\"\($0.key)\": \($0.value)" }
  print("{\"benchmark\": \"\(name)\", \(fields.joined(separator: ", "))}")
}
