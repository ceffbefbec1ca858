import Data
import Formats
import Glibc

/// What a model scored on one task, under the metric names of lm-evaluation-harness.
public struct TaskResult: Sendable, Equatable {
  /// A figure over all samples.
  public struct Metric: Sendable, Equatable {
    /// `acc`, `acc_norm`, `perplexity`, …; where there are several ways to read an answer, the way
    /// follows a comma.
    public let name: String
    /// The figure.
    public let value: Double
    /// Its standard error; `nil` where there is none, or one sample only.
    public let standardError: Double?
  }

  /// The task's name.
  public let task: String
  /// What was asked.
  public let form: TaskForm
  /// How many samples were scored.
  public let samples: Int
  /// The figures.
  public let metrics: [Metric]
  /// One object per sample: the question, what the model made of it, and its part of each figure.
  public let records: [JSONObject]

  /// The name under which the standard error of a figure is reported.
  public static func standardErrorName(of metric: String) -> String {
    let parts = metric.split(separator: ",", maxSplits: 1)
    return (["\(parts.first ?? "")_stderr"] + parts.dropFirst().map(String.init))
      .joined(separator: ",")
  }

  /// The figure called `name`.
  public subscript(name: String) -> Double? { metrics.first { $0.name == name }?.value }

  /// The result for machines, without the samples.
  public var json: JSON {
    var object: JSONObject = ["form": JSON(form.rawValue), "samples": JSON(samples)]
    for metric in metrics {
      object[metric.name] = JSON(metric.value)
      object[Self.standardErrorName(of: metric.name)] =
        metric.standardError.map { JSON($0) } ?? .null
    }
    return .object(object)
  }

  /// The samples as JSON Lines.
  public var lines: String {
    records.map { JSON.object($0).serialized() + "\n" }.joined()
  }
}

extension TaskResult.Metric {
  /// The mean of `values` with the standard error of a mean.
  static func mean(_ name: String, _ values: [Double]) -> Self {
    let (mean, error) = statistics(values)
    return Self(name: name, value: mean, standardError: error)
  }

  /// `e^(−mean)` of log-likelihoods; its standard error is the mean's, carried through the
  /// exponential to first order.
  static func perplexity(_ logLikelihoods: [Double]) -> Self {
    let (mean, error) = statistics(logLikelihoods)
    let value = exp(-mean)
    return Self(name: "perplexity", value: value, standardError: error.map { $0 * value })
  }

  private static func statistics(_ values: [Double]) -> (mean: Double, error: Double?) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / count
    guard values.count > 1 else { return (mean, nil) }
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, (squares / (count - 1) / count).squareRoot())
  }
}
