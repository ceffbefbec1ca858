/// The candidate that `name` is most likely a misspelling of, or `nil` when none is close.
///
/// Close means an optimal string alignment distance (insertions, deletions, substitutions and
/// swaps of neighbours) of at most a third of the longer name, ignoring case. Of equally near
/// candidates the first wins.
public func nearestName(to name: String, in candidates: some Sequence<String>) -> String? {
  let wanted = Array(name.lowercased().unicodeScalars.prefix(200))
  var best: (distance: Int, name: String)?
  for candidate in candidates {
    let scalars = Array(candidate.lowercased().unicodeScalars.prefix(200))
    let allowed = max(1, max(wanted.count, scalars.count) / 3)
    guard abs(wanted.count - scalars.count) <= allowed else { continue }
    let distance = alignmentDistance(wanted, scalars)
    if distance <= allowed, distance < best?.distance ?? .max {
      best = (distance, candidate)
    }
  }
  return best?.name
}

private func alignmentDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...right.count)
  for i in left.indices {
    var row = [i + 1]
    for j in right.indices {
      let substitution = last[j] + (left[i] == right[j] ? 0 : 1)
      var cost = min(substitution, last[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
        cost = min(cost, beforeLast[j - 1] + 1)
      }
      row.append(cost)
    }
    beforeLast = last
    last = row
  }
  return last[right.count]
}
