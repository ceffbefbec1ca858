// Turns a dense LLaMA folder into a Mixture of Experts, from the weights alone.
//
//   swift run ConvertModel llama llama-moe

import ExpertConstruction
import Formats
import Numerics

let arguments = CommandLine.arguments
guard arguments.count == 3 else { fatalError("give a dense checkpoint folder and a new folder") }
let dense = arguments[1]

let checkpoint = try Checkpoint(folder: dense, access: .pread)
let source = try DenseSource(
  configuration: ConfigurationFile(contentsOf: "\(dense)/config.json"), checkpoint: checkpoint)

// 7 routed experts of which a token uses 1, and 1 shared: a quarter of each MLP is active.
let settings = ConversionSettings(
  experts: 7, topK: 1, shared: 1, strategy: .clusterWeights, router: .centroid)

// The plan decides everything from headers; printing it touches nothing.
let plan = try ConversionPlan(source, settings)
print(plan)

// Every layer is compared with its dense original while it is written.
let report = try Conversion(plan, checkpoint: checkpoint, context: Context(device: .cpu()))
  .run(to: arguments[2])
print("largest error of a layer with all experts: \(report.layerErrors.max() ?? 0)")
print(report.afterTraining)
