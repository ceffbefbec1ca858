/// The paths of the values in which two settings differ, such as `stages[0].losses.distillation`.
public func differingKeys(_ old: JSONObject, _ new: JSONObject) -> [String] {
  var paths: [String] = []
  collect(.object(old), .object(new), at: "", into: &paths)
  return paths
}

private func collect(_ old: JSON?, _ new: JSON?, at path: String, into paths: inout [String]) {
  if let old = old?.object, let new = new?.object {
    let keys = old.keys + new.keys.filter { !old.contains($0) }
    for key in keys {
      collect(old[key], new[key], at: path.isEmpty ? key : "\(path).\(key)", into: &paths)
    }
  } else if let old = old?.array, let new = new?.array, old.count == new.count {
    for (index, pair) in zip(old, new).enumerated() {
      collect(pair.0, pair.1, at: "\(path)[\(index)]", into: &paths)
    }
  } else if old != new, !isSameNumber(old, new) {
    paths.append(path)
  }
}

/// Whether both are numbers of one value, as 1.5e-3 and 0.0015.
private func isSameNumber(_ old: JSON?, _ new: JSON?) -> Bool {
  guard case .number(let old) = old, case .number(let new) = new else { return false }
  if let old = old.int, let new = new.int { return old == new }
  return old.double != nil && old.double == new.double
}
