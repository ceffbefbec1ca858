extension ModelConfiguration {
  /// Whether there are mixtures and each of them, of MLPs and of attention, has a selection bias.
  var hasSelectionBiases: Bool {
    blocks.contains(where: \.isMixture) && withSelectionBiases == self
  }

  /// The same model with a selection bias in every mixture, of MLPs and of attention.
  var withSelectionBiases: ModelConfiguration {
    var biased = self
    for index in biased.blocks.indices {
      if case .mixture(var mixture) = biased.blocks[index].mlp {
        mixture.selectionBias = true
        biased.blocks[index].mlp = .mixture(mixture)
      }
      if case .attention(var attention) = biased.blocks[index].mixer {
        attention.mixture?.selectionBias = true
        biased.blocks[index].mixer = .attention(attention)
      }
    }
    return biased
  }
}
