import Glibc

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

/// Prints figures as one JSON object.
func report(_ name: String, _ figures: KeyValuePairs<String, Double>) {
  let fields = figures.map { "\"\($0.key)\": \($0.value)" }
  print("{\"benchmark\": \"\(name)\", \(fields.joined(separator: ", "))}")
}
