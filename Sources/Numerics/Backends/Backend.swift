/// Everything a device implements: memory, and the kernels each operation's file declares.
package protocol Backend:
  MemoryKernels, ElementwiseKernels, LinearKernels, RMSNormKernels,
  SigmoidGateKernels,
  HeadScaleKernels, ExpertPackingKernels,
  EmbeddingKernels,
  RoPEKernels,
  SwiGLUKernels,
  GatedActivationKernels, SoftmaxKernels, RepeatHeadsKernels,
  AttentionKernels, LinearAttentionKernels, DeltaRuleKernels, LRPEKernels, DecayGateKernels,
  CrossEntropyKernels, AlignmentLossKernels,
  RoutingKernels, AbsoluteKernels, LengthProductKernels, RouterNoiseKernels, JitterKernels,
  RoutingThresholdKernels,
  ExpertDispatchKernels, MixtureOfExpertsKernels, RouterLossKernels,
  AdamWKernels, AdamW8BitKernels, LargestKernels,
  SumKernels, ActivationEnergyKernels, IndicatorKernels, CrossProductKernels
{
  var description: DeviceDescription { get }
  /// The element type of activations, `f32` or `bf16`, for parameters that are not `f64`.
  var activationType: DType { get }
  /// Rows of logits that exist at a time: enough for full-speed products, few enough to stay small
  /// next to the weights.
  var logitRows: Int { get }
  /// Kernels for a few rows of activations; `nil` where single operations are as fast.
  var fused: (any FusedKernels)? { get }
  /// Threads of the host for what no kernel does.
  var hostPool: ThreadPool { get }
}

extension MemoryKernels {
  /// A tensor with undefined contents: an operation's working memory.
  func scratch(_ shape: [Int], _ dtype: DType) -> Tensor {
    Tensor(shape: shape, dtype: dtype, storage: allocate(shape, dtype))
  }
}

/// Memory of a device and transfers. Uploads and kernels are enqueued; downloads wait.
package protocol MemoryKernels: AnyObject, Sendable {
  /// Memory for a tensor, contents undefined. Ends the program in one line when there is none.
  func allocate(_ shape: [Int], _ dtype: DType) -> Storage
  func fillZero(_ tensor: Tensor)
  func copy(_ source: Tensor, into destination: Tensor)
  func upload(_ bytes: UnsafeRawBufferPointer, into tensor: Tensor)
  func upload(_ values: [Float], into tensor: Tensor)
  func upload(_ values: [Double], into tensor: Tensor)
  func download(_ tensor: Tensor, into destination: UnsafeMutableRawBufferPointer)
  func downloadFloats(_ tensor: Tensor) -> [Float]
  func downloadDoubles(_ tensor: Tensor) -> [Double]
  /// Seconds that the work takes which `body` enqueues, by the device's own clock. Waits for it.
  func seconds(_ body: () -> Void) -> Double
  /// What the allocator holds.
  var memory: MemoryStatistics { get }
  /// From now on new memory holds bytes 0xff, so that tests see what was never written.
  func startPoisoning()
  /// Gives cached memory back to the system.
  func trim()
}
