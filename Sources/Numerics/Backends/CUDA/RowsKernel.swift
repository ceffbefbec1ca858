/// A kernel for a few rows of activations and what it is compiled for; cheap to look up, as decoding
/// launches hundreds per token.
struct RowsKernel: Hashable {
  /// The kernel's name in its file.
  enum Name: String {
    case linear = "rows_linear"
    case normalizedLinear = "rows_normalized_linear"
    case swiglu = "rows_swiglu"
    case attentionInput = "rows_attention_input"
    case route = "rows_route"
    case expertHidden = "rows_expert_hidden"
    case expertOutput = "rows_expert_output"
    case attentionDecode = "attention_decode"
    case attentionMerge = "attention_merge"
    case largest = "largest_index"

    fileprivate var number: Int {
      switch self {
      case .linear: 0
      case .normalizedLinear: 1
      case .swiglu: 2
      case .attentionInput: 3
      case .route: 4
      case .expertHidden: 5
      case .expertOutput: 6
      case .attentionDecode: 7
      case .attentionMerge: 8
      case .largest: 9
      }
    }
  }

  let name: Name
  let element: DType
  /// The type of the weights.
  let weights: DType
  /// Rows a block holds, a power of two.
  let rows: Int
  /// Channels of a head, or experts a lane holds.
  let extent: Int

  init(_ name: Name, _ element: DType, weights: DType = .f32, rows: Int = 1, extent: Int = 0) {
    self.name = name
    self.element = element
    self.weights = weights
    self.rows = rows
    self.extent = extent
  }

  /// All of it in one number.
  private var key: Int {
    let weight = weights == .bf16 ? 1 : weights == .f16 ? 2 : 0
    return ((name.number * 2 + (element == .bf16 ? 1 : 0)) * 4 + weight) << 32 | rows << 16 | extent
  }

  static func == (a: RowsKernel, b: RowsKernel) -> Bool { a.key == b.key }
  func hash(into hasher: inout Hasher) { hasher.combine(key) }

  /// What its file is compiled as.
  var variant: KernelVariant {
    let weight = "WEIGHT_\(weights == .bf16 ? "BF16" : weights == .f16 ? "F16" : "F32")"
    let (file, defines): (KernelFile, [String]) =
      switch name {
      case .linear, .normalizedLinear, .swiglu, .attentionInput:
        (.rowsLinear, ["ROWS=\(rows)", weight])
      case .route: (.rowsRoute, ["ROWS=\(rows)", "EXPERTS_PER_LANE=\(extent)"])
      case .expertHidden, .expertOutput: (.rowsExperts, [weight])
      case .attentionDecode, .attentionMerge:
        (.attentionDecode, ["HEAD_DIM=\(extent)", "ROWS=\(rows)"])
      case .largest: (.largest, [])
      }
    return KernelVariant(file, element == .bf16 ? .bf16 : .f32, defines: defines)
  }
}
