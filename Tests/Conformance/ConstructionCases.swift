import Numerics

extension ConformanceCase {
  /// What the construction of experts computes over whole tables of activations.
  static let construction: [ConformanceCase] =
    [(1, 1), (1, 40), (63, 33), (65, 64), (300, 520), (2100, 70)].flatMap { t, i in
      [
        ConformanceCase("sums \(t)x\(i)") { trial in
          let context = trial.context
          let (x, y) = (trial.activation([t, i]).value, trial.weight([t, i]).value)
          for squared in [false, true] {
            let name = squared ? "of squares" : "of values"
            trial.note("rows \(name)", context.rowSums(x, squared: squared))
            trial.note("columns \(name)", context.columnSums(x, squared: squared))
            trial.note("statistic rows \(name)", context.rowSums(y, squared: squared))
            trial.note("statistic columns \(name)", context.columnSums(y, squared: squared))
          }
          // A slice that starts where rows of odd width are not aligned.
          trial.note("rows of a slice", context.rowSums(x.slice(t / 2..<t), squared: true))
        },
        ConformanceCase("activationEnergy T\(t) I\(i)") { trial in
          let context = trial.context
          let (h, weights) = (trial.activation([t, i]).value, trial.weight([i]).value)
          // Two batches, so that sums also add up; one column in three is asked for, backwards.
          let energy = context.empty([t, i], trial.small)
          let sums = context.zeros([i], .f64)
          for rows in [0..<t / 2, t / 2..<t] {
            context.weightedEnergy(
              h.slice(rows), weights: weights, into: energy.slice(rows), sums: sums)
          }
          let columns = stride(from: i - 1, through: 0, by: -3).map { Int32($0) }
          let shares = context.energyShares(energy, of: context.tensor(columns, [columns.count]))
          trial.note("energy", energy)
          trial.note("sums", sums)
          trial.note("shares", shares)
          trial.note("roots", context.unitRoots(shares))
          let zeros = context.zeros([t, i], trial.small)
          trial.note(
            "shares of nothing",
            context.energyShares(zeros, of: context.tensor(columns, [columns.count])), exact: true)
          trial.note("roots of nothing", context.unitRoots(zeros), exact: true)
        },
        ConformanceCase("crossProduct R\(t) M\(i) N7") { trial in
          let context = trial.context
          let (a, b) = (trial.weight([t, i]).value, trial.weight([t, 7]).value)
          trial.note("moments", context.crossProduct(a, b))
          trial.note("gram", context.crossProduct(a, a))
        },
        ConformanceCase("indicator \(t)x\(i)") { trial in
          let context = trial.context
          for (k, value) in [(1, 0.125), (3, 1)] {
            // Some names are of no column.
            let names = trial.integers(t * k, below: i + 2).map { $0 - 1 }
            trial.note(
              "k \(k)",
              context.indicator(
                of: context.tensor(names, [t, k]), columns: i, value: value, as: trial.small),
              exact: true)
          }
        },
      ]
    }
}
