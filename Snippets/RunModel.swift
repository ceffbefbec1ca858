// Loads a checkpoint folder, dense or mixture, and continues a text greedily.
//
//   swift run RunModel Checkpoints/tiny-llama "Once upon"

import Formats
import Models
import Numerics

let arguments = CommandLine.arguments
guard arguments.count == 3 else { fatalError("give a checkpoint folder and a text") }
let folder = arguments[1]

// The layout knows the format's config fields and tensors; the loader checks them against the files.
let config = try ConfigurationFile(contentsOf: "\(folder)/config.json")
let loader = try ModelLoader(
  layout: CheckpointLayouts.layout(for: config), checkpoint: Checkpoint(folder: folder))
let tokenizer = try Tokenizer(folder: folder)

let context = try Context(device: .cpu())
let model = try loader.model(in: context)
let generator = TextGenerator(model, in: context)
var sampler = Sampler(temperature: 0)
var decoder = StreamingDecoder(tokenizer)

var unread = tokenizer.encode(arguments[2], addSpecialTokens: true)
for _ in 0..<32 {
  let scores_V = generator.read(unread)
  let token = sampler.next(context.read(scores_V))
  print(decoder.append(token), terminator: "")
  unread = [token]
}
print(decoder.finish())
