import Numerics
import Testing

/// Contexts for every instruction set this machine can run.
func cpuVariants() throws -> [(name: String, context: Context)] {
  var variants: [(String, Context)] = []
  for set in InstructionSet.allCases {
    let context = try Context(device: .cpu(threads: 2, instructionSet: set))
    if context.deviceDescription.architecture == set.rawValue {
      variants.append((set.rawValue, context))
    }
  }
  return variants
}
