import Conformance
import Numerics
import Testing

/// The CPU in `f32`, and a GPU where there is one, against the CPU in Double.
@Suite struct ConformanceTests {
  @Test func everyDeviceAgreesWithDouble() throws {
    var devices: [(name: String, context: Context, element: DType, tolerance: Double)] = [
      ("cpu", try Context(device: .cpu(threads: 2), poisoned: true), .f32, 5e-5)
    ]
    if GPUSurvey().obstacle == nil {
      devices += [
        ("cuda f32", try Context(device: .cuda(), poisoned: true), .f32, 5e-5),
        (
          "cuda bf16", try Context(device: .cuda(activations: .bf16), poisoned: true), .bf16, 2e-2
        ),
        (
          "cuda bf16 on two multiprocessors",
          try Context(device: .cuda(activations: .bf16), poisoned: true, multiprocessors: 2), .bf16,
          2e-2
        ),
      ]
    }
    let reference = try Context()
    let seed = UInt64.random(in: 0..<1 << 32)
    for test in ConformanceCase.all {
      for (name, context, element, tolerance) in devices {
        let expected = test.outcome(
          in: reference, element: element, seed: seed, isReference: true)
        let found = test.outcome(in: context, element: element, seed: seed)
        let (output, error) = ConformanceCase.disagreement(found, expected)
        #expect(
          error <= tolerance, "\(name), \(test.name), seed \(seed): \(output) differs by \(error)")
      }
    }
  }
}
