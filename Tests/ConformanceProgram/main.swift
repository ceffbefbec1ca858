// Runs every operation on a device, forward and backward, against the CPU in Double.
//
//   herd-conformance [cpu|cuda] [f32|bf16] [NAME_PART] [--multiprocessors N]
//
// With few multiprocessors each block of a persistent kernel does several pieces of work.
// Prints a line per case that fails, a summary of the worst, and ends with status 1 on any failure.
import Conformance
import Glibc
import Numerics

var arguments = Array(CommandLine.arguments.dropFirst())
var multiprocessors: Int?
if let index = arguments.firstIndex(of: "--multiprocessors") {
  guard let count = arguments.dropFirst(index + 1).first.flatMap({ Int($0) }), count > 0 else {
    print("--multiprocessors takes a number from 1 on")
    exit(2)
  }
  multiprocessors = count
  arguments.removeSubrange(index...(index + 1))
}
let element: DType = arguments.contains("bf16") ? .bf16 : .f32
let device: Device =
  arguments.contains("cpu") ? .cpu() : .cuda(activations: element)
let part = arguments.first { !["cpu", "cuda", "f32", "bf16"].contains($0) }
let tolerance = element == .bf16 ? 2e-2 : 5e-5

let reference = try Context(device: .cpu())
let context = try Context(device: device, poisoned: true, multiprocessors: multiprocessors)
print("device: \(context.deviceDescription.architecture), \(element)")
var seed = UInt64(time(nil))
print("seed \(seed)")
var (failures, worst) = (0, (name: "", error: 0.0))
for test in ConformanceCase.all where part.map({ test.name.contains($0) }) ?? true {
  let expected = test.outcome(in: reference, element: element, seed: seed, isReference: true)
  let found = test.outcome(in: context, element: element, seed: seed)
  let (output, error) = ConformanceCase.disagreement(found, expected)
  if !(error <= tolerance) {
    failures += 1
    print("FAIL \(test.name): \(output) differs by \(error)")
  } else if error > worst.error {
    worst = ("\(test.name): \(output)", error)
  }
  seed += 1
}
print("\(failures) of \(ConformanceCase.all.count) cases fail; worst passing: \(worst)")
exit(failures == 0 ? 0 : 1)
