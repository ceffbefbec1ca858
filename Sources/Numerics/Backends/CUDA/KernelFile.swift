import CDevice

/// The CUDA source files, one operation each; the raw value is the file's name.
package enum KernelFile: String, CaseIterable, Sendable {
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
  case embedding
  case expertDispatch = "expert_dispatch"
  case expertPacking = "expert_packing"
  case groupedGEMM = "grouped_gemm"
  case groupedMMA = "grouped_mma"
  case headScale = "head_scale"
  case largest
  case mixtureDecode = "mixture_decode"
  case mixtureElementwise = "mixture_elementwise"
  case rmsNorm = "rms_norm"
  case rope
  case routerLosses = "router_losses"
  case routing
  case sigmoidGate = "sigmoid_gate"
  case swiglu

  /// Everything this file is compiled as.
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
    case .attention: return perHead(.bf16, [[], ["BACKWARD=1", "STAGES=2"]])
    case .attentionF32: return perHead(.f32, [[], ["BACKWARD=1"]])
    case .attentionHopper:
      return [32, 64, 96, 128].flatMap { head in
        [[], ["BACKWARD=1"]].map {
          KernelVariant(self, .bf16, defines: ["HEAD_DIM=\(head)"] + $0)
        }
      }
    case .cast, .expertDispatch, .routing, .routerLosses: return [KernelVariant(self, .f32)]
    case .attentionDecode:
      return [64, 128].flatMap { head in
        [1, 2, 4, 8].flatMap { both(["HEAD_DIM=\(head)", "ROWS=\($0)"]) }
      }
    default: return both()
    }
  }

  /// The embedded source.
  package var source: String { Self.text("\(rawValue).cu") }

  /// What every source includes.
  package static var header: String { text("element.cuh") }

  private static func text(_ name: String) -> String {
    var index: Int32 = 0
    while let source = cd_embedded_source(index)?.pointee {
      if String(cString: source.name) == name { return String(cString: source.text) }
      index += 1
    }
    fatalError("\(name) is not among the embedded sources")
  }
}
