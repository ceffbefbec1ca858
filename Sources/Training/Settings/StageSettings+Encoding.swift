import Formats

extension StageSettings {
  /// Every setting under its key, defaults included: the record of a run. Decodes back to `self`.
  public var json: JSONObject {
    [
      "name": JSON(name),
      "data": .array(data.map(\.json)),
      "domain_weighting": domainWeighting?.json ?? .null,
      "tokens": JSON(tokens),
      "sequence_length": JSON(sequenceLength),
      "batch_sequences": JSON(batchSequences),
      "micro_batch": JSON(microBatch),
      "sampling": JSON(sampling.rawValue),
      "train": .array(train.map(JSON.string)),
      "lora": lora?.json ?? .null,
      "learning_rate": JSON(learningRate),
      "router_learning_rate": routerLearningRate.map { JSON($0) } ?? .null,
      "groups": .array(
        groups.map { ["pattern": JSON($0.pattern), "learning_rate": JSON($0.learningRate)] }),
      "optimizer": JSON(optimizer.rawValue),
      "weights": JSON(weights.rawValue),
      "betas": .array(betas.map { JSON($0) }),
      "epsilon": JSON(epsilon),
      "weight_decay": JSON(weightDecay),
      "clip": JSON(clip),
      "schedule": [
        "kind": JSON(schedule.kind.rawValue),
        "warmup_steps": JSON(schedule.warmupSteps),
        "final_fraction": JSON(schedule.finalFraction),
      ],
      "router_noise": JSON(routerNoise),
      "router_jitter": JSON(routerJitter),
      "losses": losses.json,
      "checkpointing": JSON(checkpointing),
      "evaluate_every": JSON(evaluateEvery),
      "checkpoint_every": JSON(checkpointEvery),
      "save_dtype": JSON(saveType.rawValue),
    ]
  }
}

extension StageSettings.DataSource {
  fileprivate var json: JSON {
    var object: JSONObject = ["file": JSON(file), "weight": JSON(weight)]
    if let format { object["format"] = JSON(format) }
    return .object(object)
  }
}

extension LowRankSettings {
  fileprivate var json: JSON {
    [
      "rank": JSON(rank), "alpha": JSON(alpha), "targets": .array(targets.map(JSON.string)),
    ]
  }
}

extension DomainWeighting {
  fileprivate var json: JSON {
    let losses: JSON =
      switch reference {
      case .teacher: "teacher"
      case .losses(let losses): .array(losses.map { JSON($0) })
      }
    return [
      "every": JSON(every), "reference": losses, "windows": windows.map { JSON($0) } ?? .null,
    ]
  }
}

extension Losses {
  fileprivate var json: JSON {
    [
      "cross_entropy": JSON(crossEntropy),
      "distillation": JSON(distillation),
      "distillation_over": JSON(distillationOver.rawValue),
      "hidden_alignment": JSON(hiddenAlignment),
      "local_alignment": JSON(localAlignment),
      "load_balance": JSON(loadBalance),
      "balance_over": JSON(balanceOver.rawValue),
      "router_z": JSON(routerZ),
      "selection_bias_rate": JSON(selectionBiasRate),
    ]
  }
}
