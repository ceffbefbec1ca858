import Formats
import Models

extension StepMetrics {
  /// One line of the run log.
  public var json: JSONObject {
    var losses = JSONObject()
    for domain in domains { losses[domain.domain] = JSON(domain.loss) }
    var terms = JSONObject()
    for term in self.terms { terms[term.name] = JSON(term.value) }
    var object: JSONObject = [
      "event": "step",
      "stage": JSON(stage),
      "step": JSON(step),
      "steps": JSON(steps),
      "loss": JSON(loss),
      "domains": .object(losses),
      "terms": .object(terms),
      "learning_rate": JSON(learningRate),
      "gradient_norm": JSON(gradientNorm),
      "tokens": JSON(tokens),
      "tokens_per_second": JSON(tokensPerSecond),
      "experts": .array(expertLoads.map { .object($0.json) }),
    ]
    if !domainWeights.isEmpty {
      var weights = JSONObject()
      for domain in domainWeights { weights[domain.domain] = JSON(domain.weight) }
      object["domain_weights"] = .object(weights)
    }
    return object
  }
}

extension ExpertLoad {
  /// The layer's load as an object of the run log.
  var json: JSONObject {
    [
      "layer": JSON(layer),
      "part": JSON(part.rawValue),
      "load": .array(shares.map { JSON($0) }),
      "entropy": JSON(normalizedEntropy),
      "max_share": JSON(maximumShare),
      "dead": JSON(deadExperts),
    ]
  }
}
