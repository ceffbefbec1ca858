import CDevice

/// The CUDA source files, one operation each; the raw value is the file's name.
package enum KernelFile: String, CaseIterable, Sendable {
  case absolute
  case activationEnergy = "activation_energy"
  case adamw
  case adamW8Bit = "adamw_8bit"
  case alignmentLoss = "alignment_loss"
  case attention
  case attentionDecode = "attention_decode"
  case attentionF32 = "attention_f32"
  case attentionHopper = "attention_hopper"
  case bias
  case cast
  case crossEntropy = "cross_entropy"
  case elementwise
  case decayGate = "decay_gate"
  case embedding
  case expertDispatch = "expert_dispatch"
  case expertPacking = "expert_packing"
  case expertPadding = "expert_padding"
  case gatedActivation = "gated_activation"
  case groupedGEMM = "grouped_gemm"
  case groupedMMA = "grouped_mma"
  case headScale = "head_scale"
  case indicator
  case jitter
  case largest
  case lengthProduct = "length_product"
  case linearAttention = "linear_attention"
  case linearAttentionDelta = "linear_attention_delta"
  case linearAttentionElementwise = "linear_attention_elementwise"
  case linearAttentionGates = "linear_attention_gates"
  case linearAttentionHopper = "linear_attention_hopper"
  case linearAttentionVector = "linear_attention_vector"
  case lrpe
  case mixtureElementwise = "mixture_elementwise"
  case repeatHeads = "repeat_heads"
  case rmsNorm = "rms_norm"
  case rope
  case routerLosses = "router_losses"
  case routerNoise = "router_noise"
  case routing
  case routingThreshold = "routing_threshold"
  case rowsExperts = "rows_experts"
  case rowsLinear = "rows_linear"
  case rowsRoute = "rows_route"
  case sigmoidGate = "sigmoid_gate"
  case softmax
  case sums
  case swiglu

  /// A sample of what this file is compiled as, for tests: all of it but for numbers that change little.
  package var variants: [KernelVariant] {
    let heads = [32, 64, 96, 128, 160, 192, 256]
    func both(_ defines: [String] = []) -> [KernelVariant] {
      [KernelVariant(self, .f32, defines: defines), KernelVariant(self, .bf16, defines: defines)]
    }
    func perHead(_ element: DType, _ more: [[String]]) -> [KernelVariant] {
      heads.flatMap { head in
        more.map { KernelVariant(self, element, defines: ["HEAD_DIM=\(head)"] + $0) }
      }
    }
    switch self {
    case .attention:
      return perHead(.bf16, [[], ["BACKWARD=1", "STAGES=2"]]) + Self.shortMemoryVariants(self)
    case .attentionF32: return perHead(.f32, [[], ["BACKWARD=1"]])
    case .attentionHopper:
      return [32, 64, 96, 128].flatMap { head in
        [[], ["BACKWARD=1"]].map {
          KernelVariant(self, .bf16, defines: ["HEAD_DIM=\(head)"] + $0)
        }
      }
    case .linearAttention:
      return heads.flatMap { both(["DIM=\($0)"]) }
        + [64, 128, 256].flatMap { both(["DIM=\($0)", "SLOPES=1"]) }
    case .linearAttentionGates, .linearAttentionHopper:
      let second = self == .linearAttentionGates ? "BACKWARD=1" : "GATES=1"
      return [64, 128].flatMap { head in
        [[], [second]].map { KernelVariant(self, .bf16, defines: ["HEAD_DIM=\(head)"] + $0) }
      }
    case .linearAttentionDelta, .linearAttentionElementwise, .linearAttentionVector:
      return heads.flatMap { both(["DIM=\($0)"]) }
    case .absolute, .cast, .expertDispatch, .indicator, .lengthProduct, .routing, .routerLosses,
      .routerNoise,
      .routingThreshold:
      return [KernelVariant(self, .f32)]
    case .attentionDecode:
      return [64, 128].flatMap { head in
        [1, 2, 4, 8].flatMap { both(["HEAD_DIM=\(head)", "ROWS=\($0)"]) }
      }
        + [32, 96, 256].flatMap { head in
          [1, 8].flatMap { both(["HEAD_DIM=\(head)", "ROWS=\($0)"]) }
        }
    case .groupedMMA: return [KernelVariant(self, .bf16)] + Self.shortMemoryVariants(self)
    case .rowsExperts: return ["F32", "BF16", "F16"].flatMap { both(["WEIGHT_\($0)"]) }
    case .rowsLinear:
      return [1, 2, 4, 8].flatMap { both(["ROWS=\($0)", "WEIGHT_BF16"]) }
        + ["F32", "F16"].flatMap { both(["ROWS=1", "WEIGHT_\($0)"]) }
    case .rowsRoute:
      return [(1, 1), (2, 2), (4, 8), (8, 32)].flatMap {
        both(["ROWS=\($0.0)", "EXPERTS_PER_LANE=\($0.1)"])
      }
    default: return both()
    }
  }

  /// What of a file is compiled for GPUs with less shared memory than data centres' have.
  package static func shortMemoryVariants(_ file: KernelFile) -> [KernelVariant] {
    switch file {
    case .attention:
      [KernelVariant(file, .bf16, defines: ["HEAD_DIM=256", "BACKWARD=1", "STAGES=1"])]
    case .groupedMMA: [KernelVariant(file, .bf16, defines: ["AHEAD=1"])]
    default: []
    }
  }

  /// The embedded source.
  package var source: String { Self.embedded.first { $0.name == "\(rawValue).cu" }?.text ?? "" }

  /// What sources may include.
  package static var headers: [(name: String, text: String)] {
    embedded.filter { $0.name.hasSuffix(".cuh") }
  }

  private static var embedded: [(name: String, text: String)] {
    var (sources, index): ([(name: String, text: String)], Int32) = ([], 0)
    while let source = cd_embedded_source(index)?.pointee {
      sources.append((String(cString: source.name), String(cString: source.text)))
      index += 1
    }
    return sources
  }
}
